-- Up Migration

ALTER TABLE plans ADD COLUMN verification jsonb NOT NULL
  DEFAULT '{"metadata": {"every_days": 1}, "checksum": {"every_days": 30, "most_per_day": 20}, "drill": {"every_days": 7}}';

-- verified_at and verified_level tell of the strongest level that was ever passed, and when it last was.
ALTER TABLE service_instance_backups
  ADD COLUMN metadata_verified_at timestamptz,
  ADD COLUMN checksum_verified_at timestamptz,
  ADD COLUMN corrupt_reason text;
CREATE INDEX service_instance_backups_metadata_due ON service_instance_backups ((coalesce(metadata_verified_at, ended_at)))
  WHERE state = 'COMPLETED' AND success IN ('SUCCESS', 'PARTIAL');
CREATE INDEX service_instance_backups_checksum_due ON service_instance_backups ((coalesce(checksum_verified_at, ended_at)))
  WHERE state = 'COMPLETED' AND success IN ('SUCCESS', 'PARTIAL');

-- One look at one service-instance backup, or, service_instance_backup_id NULL, at the metadata of all of an environment.
CREATE TABLE verifications (
  id                         uuid PRIMARY KEY,
  environment_id             uuid NOT NULL REFERENCES environments,
  service_instance_id        uuid REFERENCES service_instances,
  service_instance_backup_id uuid REFERENCES service_instance_backups,
  level                      text NOT NULL CHECK (level IN ('metadata', 'checksum', 'drill')),
  trigger                    text NOT NULL CHECK (trigger IN ('MANUAL', 'SCHEDULED')),
  requested_by               text,
  state                      text NOT NULL DEFAULT 'QUEUED' CHECK (state IN ('QUEUED', 'RUNNING', 'COMPLETED')),
  outcome                    text CHECK (outcome IN ('passed', 'failed', 'unreadable', 'lost', 'corrupt')),
  attempt                    integer NOT NULL DEFAULT 0,
  tries_left                 integer NOT NULL DEFAULT 3,
  owner                      text,
  lease_expires_at           timestamptz,
  progress                   jsonb,
  report                     jsonb,
  errors                     jsonb NOT NULL DEFAULT '[]',
  queued_at                  timestamptz NOT NULL,
  started_at                 timestamptz,
  ended_at                   timestamptz,
  CHECK ((state = 'COMPLETED') = (outcome IS NOT NULL)),
  CHECK (service_instance_backup_id IS NOT NULL OR level = 'metadata'),
  CHECK ((service_instance_backup_id IS NULL) = (service_instance_id IS NULL))
);
-- One at a time of a service-instance backup and level, and of an environment.
CREATE UNIQUE INDEX verifications_one_open ON verifications (service_instance_backup_id, level)
  WHERE state <> 'COMPLETED' AND service_instance_backup_id IS NOT NULL;
CREATE UNIQUE INDEX verifications_one_open_of_environment ON verifications (environment_id)
  WHERE state <> 'COMPLETED' AND service_instance_backup_id IS NULL;
CREATE INDEX verifications_of_environment ON verifications (environment_id, queued_at DESC);
CREATE INDEX verifications_of_service_instance ON verifications (service_instance_id, level, queued_at DESC);
CREATE INDEX verifications_of_service_instance_backup ON verifications (service_instance_backup_id, level, queued_at DESC);
CREATE INDEX verifications_open ON verifications (queued_at) WHERE state <> 'COMPLETED';

-- Down Migration

DROP TABLE verifications;
ALTER TABLE service_instance_backups DROP COLUMN metadata_verified_at, DROP COLUMN checksum_verified_at, DROP COLUMN corrupt_reason;
ALTER TABLE plans DROP COLUMN verification;
