-- A transfer that was deleted before its receiver knew of its end is kept until
-- that knows, and shown to nobody.
ALTER TABLE transfers ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
DROP INDEX transfers_by_owner;
DROP INDEX transfers_by_status;
DROP INDEX transfers_by_both;
CREATE INDEX transfers_by_owner ON transfers (owner) WHERE deleted = 0;
CREATE INDEX transfers_by_status ON transfers (status) WHERE deleted = 0;
CREATE INDEX transfers_by_both ON transfers (owner, status) WHERE deleted = 0;
