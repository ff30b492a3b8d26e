-- The filter of a manifest, as JSON, and what becomes of what cannot be read.
ALTER TABLE manifests ADD COLUMN include TEXT NOT NULL DEFAULT '[]';
ALTER TABLE manifests ADD COLUMN exclude TEXT NOT NULL DEFAULT '[]';
ALTER TABLE manifests ADD COLUMN on_error TEXT NOT NULL DEFAULT 'stop';
ALTER TABLE manifests ADD COLUMN read_errors INTEGER NOT NULL DEFAULT 0;
