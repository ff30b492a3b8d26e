-- Order of the trigger queue. urgent is 0 for the order of seq; else the run
-- is a further attempt at an event whose script was interrupted, and goes
-- before those with a lower number.
DROP INDEX runs_queued;
CREATE INDEX runs_waiting ON runs (urgent DESC, seq, lane) WHERE status = 'queued';
CREATE INDEX runs_lane ON runs (lane, urgent DESC, seq) WHERE status = 'queued';

-- What came of each event, and the further attempts at it.
CREATE INDEX runs_outcome ON runs (event, status, seq) WHERE end_time > 0;
CREATE INDEX runs_attempts ON runs (event_id, attempt) WHERE attempt > 1;
