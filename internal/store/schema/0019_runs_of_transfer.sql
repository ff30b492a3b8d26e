-- Runs about a transfer, which getTriggerRuns selects; events that are about none
-- cost no index entry.
CREATE INDEX runs_transfer ON runs (transfer_id, seq) WHERE transfer_id <> '';
