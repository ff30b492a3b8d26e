-- Few indexes, as each is written anew for every run. What is still to do,
-- queued or running, is in one, so that the start of a run changes none; what
-- has ended is in another, for pruning and for counting what came of each
-- event. The one of the lanes is there while they are used. Which process
-- carries out a run is kept outside the database.
DROP INDEX runs_running;
DROP INDEX runs_waiting;
DROP INDEX runs_lane;
DROP INDEX runs_ended;
DROP INDEX runs_outcome;
CREATE INDEX runs_open ON runs (urgent DESC, seq, lane) WHERE end_time = 0;
CREATE INDEX runs_ended ON runs (seq DESC, bytes, end_time, event, status) WHERE end_time > 0;
ALTER TABLE runs DROP COLUMN pid;
ALTER TABLE runs DROP COLUMN pid_start;
