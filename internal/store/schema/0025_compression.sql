-- Whether data are compressed, and how many bytes that has kept off the network.
ALTER TABLE transfers ADD COLUMN compression TEXT NOT NULL DEFAULT 'auto';
ALTER TABLE transfers ADD COLUMN bytes_saved INTEGER NOT NULL DEFAULT 0;
