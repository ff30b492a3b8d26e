-- The digest of what was on disk at the last checkpoint behind the last whole
-- block of the entry that comes next. The hashes of its blocks lie beside its part
-- file.
ALTER TABLE recv_transfers ADD COLUMN partial_digest TEXT NOT NULL DEFAULT '';
