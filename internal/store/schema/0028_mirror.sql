-- Mirrors: what receivers remove since the source has it no more.
ALTER TABLE users ADD COLUMN may_delete INTEGER NOT NULL DEFAULT 1;
ALTER TABLE transfers ADD COLUMN mirror INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN max_delete INTEGER NOT NULL DEFAULT 1000;
ALTER TABLE transfers ADD COLUMN removed_files INTEGER NOT NULL DEFAULT 0;
-- mirror is JSON, empty for a transfer that removes nothing.
ALTER TABLE recv_transfers ADD COLUMN mirror TEXT NOT NULL DEFAULT '';
ALTER TABLE recv_transfers ADD COLUMN removed_files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recv_files ADD COLUMN root INTEGER NOT NULL DEFAULT 0;

-- What is removed, in this order. transfer is recv_transfers.seq; state is that of
-- transfer.Removal.
CREATE TABLE recv_removals (
	transfer    INTEGER NOT NULL,
	idx         INTEGER NOT NULL,
	name        BLOB    NOT NULL,
	final       BLOB    NOT NULL,
	real        BLOB    NOT NULL,
	dir         INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	mod_time    INTEGER NOT NULL,
	change_time INTEGER NOT NULL,
	links       INTEGER NOT NULL,
	state       INTEGER NOT NULL,
	PRIMARY KEY (transfer, idx)
) WITHOUT ROWID;
