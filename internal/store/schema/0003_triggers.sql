-- Trigger runs: queue entry, then record. The queue is the rows whose status
-- is queued; seq is its order.
CREATE TABLE runs (
	seq         INTEGER PRIMARY KEY,
	run_id      TEXT NOT NULL UNIQUE,
	status      TEXT NOT NULL,
	urgent      INTEGER NOT NULL,           -- 1: goes before all that are not
	bytes       INTEGER NOT NULL DEFAULT 0, -- what the row weighs, set when it ends
	event       TEXT NOT NULL,
	event_id    TEXT NOT NULL,
	attempt     INTEGER NOT NULL,
	event_time  INTEGER NOT NULL,
	queue_time  INTEGER NOT NULL,
	start_time  INTEGER NOT NULL DEFAULT 0,
	end_time    INTEGER NOT NULL DEFAULT 0,
	exit_code   INTEGER,
	signal      TEXT NOT NULL DEFAULT '',
	pid         INTEGER NOT NULL DEFAULT 0,
	pid_start   INTEGER NOT NULL DEFAULT 0, -- the bits of a uint64
	depth       INTEGER NOT NULL,
	request_id  TEXT NOT NULL,
	user        TEXT NOT NULL,
	transfer_id TEXT NOT NULL,
	subject     TEXT NOT NULL,
	lane        TEXT NOT NULL,
	process     TEXT NOT NULL,
	message     TEXT NOT NULL DEFAULT '',
	parameters  TEXT NOT NULL,
	-- text and dropped bytes of both streams
	stdout         TEXT NOT NULL DEFAULT '',
	stdout_dropped INTEGER NOT NULL DEFAULT 0,
	stderr         TEXT NOT NULL DEFAULT '',
	stderr_dropped INTEGER NOT NULL DEFAULT 0
);

-- Small indexes of what is still to do, and of what pruning looks at.
CREATE INDEX runs_queued ON runs (urgent DESC, seq) WHERE status = 'queued';
CREATE INDEX runs_running ON runs (seq) WHERE status = 'running';
CREATE INDEX runs_ended ON runs (seq DESC, bytes, end_time) WHERE end_time > 0;
