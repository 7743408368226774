-- Up Migration

-- Failures are counted at every scrape; most rows never had one.
CREATE INDEX service_instance_backups_failed ON service_instance_backups (id) WHERE errors <> '[]';
CREATE INDEX service_instance_backups_waiting ON service_instance_backups (queued_at) WHERE state = 'QUEUED';

-- Down Migration

DROP INDEX service_instance_backups_failed, service_instance_backups_waiting;
