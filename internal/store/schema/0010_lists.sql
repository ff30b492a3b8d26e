-- The filters of lists. seq, the order of every list, is the rowid, which
-- stands at the end of each index by itself.
CREATE INDEX destinations_by_owner ON destinations (owner);
CREATE INDEX manifests_by_owner ON manifests (owner);
CREATE INDEX manifests_by_status ON manifests (status);
CREATE INDEX manifests_by_both ON manifests (owner, status);
CREATE INDEX transfers_by_owner ON transfers (owner);
CREATE INDEX transfers_by_status ON transfers (status);
CREATE INDEX transfers_by_both ON transfers (owner, status);
CREATE INDEX recv_transfers_by_status ON recv_transfers (status);
CREATE INDEX recv_transfers_by_both ON recv_transfers (username, status);
