-- Up Migration

-- Failures are counted at every scrape; most rows never had one.
CREATE INDEX service_instance_backups_failed ON service_instance_backups (id) WHERE errors <> '[]';
CREATE INDEX service_instance_backups_waiting ON service_instance_backups (queued_at) WHERE state = 'QUEUED';

-- What a worker has and how it does: major versions of its pg_dump, and how late its event loop was since it last told.
ALTER TABLE workers
  ADD COLUMN postgres_clients integer[] NOT NULL DEFAULT '{}',
  ADD COLUMN event_loop_p99_seconds double precision;

-- Down Migration

ALTER TABLE workers DROP COLUMN postgres_clients, DROP COLUMN event_loop_p99_seconds;
DROP INDEX service_instance_backups_failed, service_instance_backups_waiting;
