-- The digest of a received file, ALGORITHM:HEX; empty where there is none.
ALTER TABLE recv_files ADD COLUMN digest TEXT NOT NULL DEFAULT '';
