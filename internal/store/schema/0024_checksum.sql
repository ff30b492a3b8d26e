-- Whether a transfer with the conflict changed compares files by their digests.
ALTER TABLE transfers ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
