-- What garbage collection looks for.
CREATE INDEX transfers_ended ON transfers (end_time) WHERE processing = 0;
CREATE INDEX transfers_of_manifest ON transfers (manifest_id);
CREATE INDEX manifests_created ON manifests (create_time);
CREATE INDEX recv_transfers_ended ON recv_transfers (end_time) WHERE end_time > 0;

-- Numbers of received transfers that are gone and whose entries in recv_files
-- are still to be removed, piece by piece.
CREATE TABLE recv_removed (
	transfer INTEGER PRIMARY KEY
);

-- Sending servers that the operator trusts, in the order of their coming.
CREATE TABLE authorized_clients (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	public_key  TEXT    NOT NULL UNIQUE,
	description TEXT    NOT NULL,
	create_time INTEGER NOT NULL
);
