-- seq is the order of every list; ids only name things. Times are microseconds
-- since the Unix epoch, 0 while not valid yet. Maps are JSON objects.
CREATE TABLE destinations (
	seq            INTEGER PRIMARY KEY AUTOINCREMENT,
	destination_id TEXT NOT NULL UNIQUE,
	owner          TEXT NOT NULL,
	address        TEXT NOT NULL,
	port           INTEGER NOT NULL,
	ip             TEXT NOT NULL,
	public_key     TEXT NOT NULL,
	send_rate_max  INTEGER NOT NULL,
	last_error     TEXT NOT NULL,
	last_send_time INTEGER NOT NULL,
	create_time    INTEGER NOT NULL,
	user_data      TEXT NOT NULL,
	destination    TEXT NOT NULL,
	sender         TEXT NOT NULL,
	UNIQUE (owner, address, port)
);

CREATE TABLE manifests (
	seq           INTEGER PRIMARY KEY AUTOINCREMENT,
	manifest_id   TEXT NOT NULL UNIQUE,
	status        TEXT NOT NULL,
	total_files   INTEGER,
	total_size    INTEGER,
	error_message TEXT,
	create_time   INTEGER NOT NULL,
	end_time      INTEGER NOT NULL,
	owner         TEXT NOT NULL,
	user_data     TEXT NOT NULL,
	file_mappings TEXT NOT NULL
);
CREATE INDEX manifests_pending ON manifests (seq) WHERE status = 'pending';

-- A file list; one whose manifest is gone (NULL) is removed piece by piece.
CREATE TABLE file_sets (
	set_id       INTEGER PRIMARY KEY AUTOINCREMENT,
	manifest_seq INTEGER UNIQUE
);

CREATE TABLE manifest_files (
	set_id    INTEGER NOT NULL,
	idx       INTEGER NOT NULL,
	source    TEXT NOT NULL,
	name      TEXT NOT NULL,
	size      INTEGER NOT NULL,
	mode      INTEGER NOT NULL,
	mod_time  INTEGER NOT NULL, -- nanoseconds
	empty_dir INTEGER NOT NULL,
	PRIMARY KEY (set_id, idx)
) WITHOUT ROWID;
CREATE UNIQUE INDEX manifest_files_name ON manifest_files (set_id, name);

CREATE TABLE transfers (
	seq                 INTEGER PRIMARY KEY AUTOINCREMENT,
	transfer_id         TEXT NOT NULL UNIQUE,
	manifest_id         TEXT NOT NULL,
	destination_id      TEXT NOT NULL,
	destination_address TEXT NOT NULL,
	destination_port    INTEGER NOT NULL,
	destination_path    TEXT NOT NULL,
	username            TEXT NOT NULL,
	status              TEXT NOT NULL,
	processing          INTEGER NOT NULL,
	error_message       TEXT NOT NULL,
	priority            INTEGER NOT NULL,
	checkpoint_seconds  INTEGER NOT NULL,
	conflict            TEXT NOT NULL,
	on_error            TEXT NOT NULL,
	total_files         INTEGER NOT NULL,
	total_bytes         INTEGER NOT NULL,
	files_sent          INTEGER NOT NULL,
	bytes_sent          INTEGER NOT NULL,
	request_time        INTEGER NOT NULL,
	start_time          INTEGER NOT NULL,
	end_time            INTEGER NOT NULL,
	owner               TEXT NOT NULL,
	user_data           TEXT NOT NULL,
	sealed_password     BLOB,
	ticket              BLOB,
	public_key          TEXT NOT NULL,
	tell_peer           INTEGER NOT NULL,
	request_id          TEXT NOT NULL,
	depth               INTEGER NOT NULL
);
CREATE INDEX transfers_runnable ON transfers (priority, seq) WHERE status IN ('pending', 'active') OR tell_peer = 1;
CREATE INDEX transfers_destination ON transfers (destination_id) WHERE processing = 1;
CREATE INDEX transfers_manifest ON transfers (manifest_id) WHERE processing = 1;
