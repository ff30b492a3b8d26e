-- Whether parameters of a run are sample data.
ALTER TABLE runs ADD COLUMN sample INTEGER NOT NULL DEFAULT 0;
