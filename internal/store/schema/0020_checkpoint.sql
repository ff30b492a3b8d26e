-- How much of the entry that comes next was on disk at the last checkpoint.
ALTER TABLE recv_transfers ADD COLUMN partial_index INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recv_transfers ADD COLUMN partial_offset INTEGER NOT NULL DEFAULT 0;
