-- Up Migration

-- A service-instance backup whose bytes a client sends. Until it is finished, it waits QUEUED with not_before infinity.
-- record: the staged object, once it has come whole. writing_until: a lease of whoever receives it.
-- expires_at: until then it may be sent, finished, and, where processing it failed, tried again.
CREATE TABLE uploads (
  service_instance_backup_id uuid PRIMARY KEY REFERENCES service_instance_backups,
  store_id                   uuid NOT NULL REFERENCES stores,
  max_bytes                  bigint NOT NULL,
  expires_at                 timestamptz NOT NULL,
  writing_until              timestamptz,
  record                     jsonb,
  received_at                timestamptz,
  finished_at                timestamptz,
  CHECK (finished_at IS NULL OR received_at IS NOT NULL)
);
CREATE INDEX uploads_staged ON uploads (expires_at) WHERE record IS NOT NULL OR finished_at IS NULL;

-- Down Migration

DROP TABLE uploads;
