-- The log of what happened. AUTOINCREMENT gives ids +1 each, never one twice,
-- also when all entries have been removed; a number whose transaction was
-- undone is given again. Only the oldest entries are ever removed.
CREATE TABLE entries (
	id   INTEGER PRIMARY KEY AUTOINCREMENT,
	type TEXT NOT NULL,
	time INTEGER NOT NULL,
	user TEXT NOT NULL,
	data TEXT NOT NULL
);
