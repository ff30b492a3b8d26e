-- By how many bytes the files of a transfer are larger than in its manifest, since
-- they changed afterwards; total_bytes and total_size have it in them.
ALTER TABLE transfers ADD COLUMN grown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recv_transfers ADD COLUMN grown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recv_files ADD COLUMN grown INTEGER NOT NULL DEFAULT 0;
-- What file the bytes of the last checkpoint are of.
ALTER TABLE recv_transfers ADD COLUMN partial_size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recv_transfers ADD COLUMN partial_mod_time INTEGER NOT NULL DEFAULT 0;
