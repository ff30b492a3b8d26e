-- The tokens of users. Only a token's SHA-256 is kept. A token goes with its
-- user and with the token that made it.
CREATE TABLE api_tokens (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	token_id    TEXT NOT NULL UNIQUE,
	hash        BLOB NOT NULL UNIQUE,
	owner       TEXT NOT NULL COLLATE NOCASE REFERENCES users (name) ON DELETE CASCADE,
	parent      TEXT REFERENCES api_tokens (token_id) ON DELETE CASCADE,
	description TEXT NOT NULL,
	permissions TEXT NOT NULL,    -- a JSON list
	path        TEXT NOT NULL,    -- / is the whole sandbox
	create_time INTEGER NOT NULL,
	expiry_time INTEGER NOT NULL  -- 0 is never
);
CREATE INDEX api_tokens_owner ON api_tokens (owner, seq);
CREATE INDEX api_tokens_parent ON api_tokens (parent);
CREATE INDEX api_tokens_expiry ON api_tokens (expiry_time) WHERE expiry_time <> 0;

-- What the manifests that a confined token made may read.
ALTER TABLE manifests ADD COLUMN confined TEXT NOT NULL DEFAULT '/';

-- The answers of commands that were called with an Idempotency-Key. state is 0
-- while nothing was made, 1 once something was, 2 when the answer is here. body
-- is an HMAC of the parameters.
CREATE TABLE replays (
	owner       TEXT NOT NULL COLLATE NOCASE,
	key         TEXT NOT NULL,
	command     TEXT NOT NULL,
	body        BLOB NOT NULL,
	state       INTEGER NOT NULL,
	create_time INTEGER NOT NULL,
	http_status INTEGER NOT NULL DEFAULT 0,
	message     TEXT NOT NULL DEFAULT '',
	result      BLOB NOT NULL DEFAULT x'',
	location    TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX replays_age ON replays (create_time);

CREATE INDEX transfers_owner ON transfers (owner) WHERE processing = 1;
