-- Every directory is an entry, no longer only an empty one. Of a received one,
-- made says that its transfer has made it and it has yet to get its final mode
-- and time. fold is a hash of the final path of an entry, the same for names
-- that some file system takes for one; 0 before it has one.
ALTER TABLE manifest_files RENAME COLUMN empty_dir TO dir;
ALTER TABLE recv_files RENAME COLUMN empty_dir TO dir;
ALTER TABLE recv_files ADD COLUMN made INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recv_files ADD COLUMN fold INTEGER NOT NULL DEFAULT 0;
CREATE INDEX recv_files_made ON recv_files (transfer, idx) WHERE made = 1;
CREATE INDEX recv_files_fold ON recv_files (transfer, fold, idx) WHERE fold <> 0;

-- For those who connect: whether the server of a key has sent before.
CREATE INDEX recv_transfers_source ON recv_transfers (source_public_key);

-- How many bytes the files take up without their holes; 0 is not known.
ALTER TABLE manifests ADD COLUMN data_size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN data_bytes INTEGER NOT NULL DEFAULT 0;
