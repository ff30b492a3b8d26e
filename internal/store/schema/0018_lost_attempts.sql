-- Attempts at an event in a row, this one included, in which the server ended
-- soon or uncleanly. Few runs reach the limit, so that their index is small.
ALTER TABLE runs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_lost ON runs (seq) WHERE lost >= 5 AND status = 'failed';
