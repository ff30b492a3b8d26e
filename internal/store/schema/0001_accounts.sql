-- Facts about this server that outlive its process: one row a name.
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) WITHOUT ROWID;

-- seq is the order in which users were made; names differ by more than case.
CREATE TABLE users (
	seq         INTEGER PRIMARY KEY AUTOINCREMENT,
	name        TEXT NOT NULL UNIQUE COLLATE NOCASE,
	superuser   INTEGER NOT NULL,
	sandbox     TEXT NOT NULL,
	disabled    INTEGER NOT NULL,
	hash        TEXT NOT NULL,
	create_time INTEGER NOT NULL
);
