-- What a manifest leaves out, with the reason; NULL in manifests is not known
-- yet.
ALTER TABLE manifests ADD COLUMN skipped_entries INTEGER;
UPDATE manifests SET skipped_entries = 0 WHERE status = 'complete';
CREATE TABLE skipped_entries (
    set_id INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (set_id, idx)
) WITHOUT ROWID;
