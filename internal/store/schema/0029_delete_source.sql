-- Sources that are removed once the transfer is complete. sent_sources has the state
-- in which a file was read that was sent, or is the same at the receiver.
ALTER TABLE transfers ADD COLUMN delete_source INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN deleting_sources INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN sources_deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN sources_kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN sources_message TEXT NOT NULL DEFAULT '';
ALTER TABLE transfers ADD COLUMN sources_next INTEGER NOT NULL DEFAULT 0; -- index of the next entry to look at
CREATE INDEX transfers_deleting_sources ON transfers (seq) WHERE deleting_sources = 1;

CREATE TABLE sent_sources (
	transfer    INTEGER NOT NULL, -- seq
	idx         INTEGER NOT NULL,
	device      INTEGER NOT NULL,
	inode       INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	mod_time    INTEGER NOT NULL, -- nanoseconds
	change_time INTEGER NOT NULL, -- nanoseconds
	PRIMARY KEY (transfer, idx)
) WITHOUT ROWID;
