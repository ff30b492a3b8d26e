-- The API token that authorized a received transfer, and the directory that it is
-- confined to; none is all of the sandbox.
ALTER TABLE recv_transfers ADD COLUMN token_id TEXT NOT NULL DEFAULT '';
ALTER TABLE recv_transfers ADD COLUMN confined BLOB NOT NULL DEFAULT x'';
