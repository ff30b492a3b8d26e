-- Facts about this server that outlive its process: one row a name.
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE users (
	name        TEXT PRIMARY KEY COLLATE NOCASE,
	superuser   INTEGER NOT NULL,
	sandbox     TEXT NOT NULL,
	disabled    INTEGER NOT NULL,
	hash        TEXT NOT NULL,
	create_time INTEGER NOT NULL
) WITHOUT ROWID;
