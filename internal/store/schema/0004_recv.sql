-- Received transfers: one row a transfer and sending server.
CREATE TABLE recv_transfers (
	seq               INTEGER PRIMARY KEY AUTOINCREMENT,
	source_public_key TEXT    NOT NULL,
	transfer_id       TEXT    NOT NULL,
	username          TEXT    NOT NULL,
	destination_path  BLOB    NOT NULL,
	status            TEXT    NOT NULL,
	error_message     TEXT    NOT NULL,
	total_files       INTEGER NOT NULL,
	total_size        INTEGER NOT NULL,
	files_received    INTEGER NOT NULL,
	bytes_received    INTEGER NOT NULL,
	source_ip         TEXT    NOT NULL,
	source_port       INTEGER NOT NULL,
	start_time        INTEGER NOT NULL,
	last_recv_time    INTEGER NOT NULL,
	last_error_time   INTEGER NOT NULL,
	end_time          INTEGER NOT NULL,
	ticket_hash       BLOB    NOT NULL,
	conflict          TEXT    NOT NULL,
	on_error          TEXT    NOT NULL,
	root              BLOB    NOT NULL,
	staging           BLOB    NOT NULL,
	finishing         INTEGER NOT NULL,
	UNIQUE (transfer_id, source_public_key)
);
CREATE INDEX recv_transfers_user ON recv_transfers (username, seq);
CREATE INDEX recv_transfers_open ON recv_transfers (seq) WHERE status = 'receiving' OR staging <> x'';

-- Their entries. transfer is recv_transfers.seq; names need not be UTF-8.
CREATE TABLE recv_files (
	transfer  INTEGER NOT NULL,
	idx       INTEGER NOT NULL,
	name      BLOB    NOT NULL,
	size      INTEGER NOT NULL,
	mode      INTEGER NOT NULL,
	mod_time  INTEGER NOT NULL,
	empty_dir INTEGER NOT NULL,
	skipped   INTEGER NOT NULL,
	error     TEXT    NOT NULL,
	final     BLOB    NOT NULL,
	real      BLOB    NOT NULL,
	placed    INTEGER NOT NULL,
	PRIMARY KEY (transfer, idx)
) WITHOUT ROWID;
