-- Whether on.<command> of a kept answer was saved, or nobody wants it.
ALTER TABLE replays ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;
UPDATE replays SET reported = 1;
