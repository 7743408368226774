-- Up Migration

CREATE TABLE organisations (
  id         uuid PRIMARY KEY,
  slug       text NOT NULL UNIQUE,
  name       text NOT NULL,
  created_at timestamptz NOT NULL
);

-- A token is stored as the SHA-256 of its 256 random bits. organisation_id NULL: the whole installation.
CREATE TABLE tokens (
  id              uuid PRIMARY KEY,
  organisation_id uuid REFERENCES organisations,
  name            text NOT NULL,
  role            text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  sha256          bytea NOT NULL UNIQUE,
  created_at      timestamptz NOT NULL,
  revoked_at      timestamptz
);

CREATE TABLE stores (
  id         uuid PRIMARY KEY,
  name       text NOT NULL UNIQUE,
  url        text NOT NULL UNIQUE,
  region     text NOT NULL,
  is_default boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX stores_one_default ON stores (is_default) WHERE is_default;

CREATE TABLE plans (
  id         uuid PRIMARY KEY,
  slug       text NOT NULL UNIQUE,
  name       text NOT NULL,
  schedules  jsonb NOT NULL DEFAULT '[]',
  policies   jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL
);

CREATE TABLE applications (
  id              uuid PRIMARY KEY,
  organisation_id uuid NOT NULL REFERENCES organisations,
  slug            text NOT NULL,
  name            text NOT NULL,
  created_at      timestamptz NOT NULL,
  deleted_at      timestamptz
);
CREATE UNIQUE INDEX applications_slug ON applications (organisation_id, slug) WHERE deleted_at IS NULL;

-- store_id NULL: whichever store is the default when a backup begins.
CREATE TABLE environments (
  id             uuid PRIMARY KEY,
  application_id uuid NOT NULL REFERENCES applications,
  slug           text NOT NULL,
  plan_id        uuid REFERENCES plans,
  store_id       uuid REFERENCES stores,
  timezone       text NOT NULL DEFAULT 'UTC',
  created_at     timestamptz NOT NULL,
  deleted_at     timestamptz
);
CREATE UNIQUE INDEX environments_slug ON environments (application_id, slug) WHERE deleted_at IS NULL;

CREATE TABLE service_instances (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments,
  type           text NOT NULL CHECK (type IN ('DATABASE', 'STORAGE')),
  prefix         text NOT NULL,
  connection     bytea NOT NULL,
  created_at     timestamptz NOT NULL,
  deleted_at     timestamptz
);
CREATE UNIQUE INDEX service_instances_prefix ON service_instances (environment_id, type, prefix) WHERE deleted_at IS NULL;

CREATE TABLE schedules (
  id             uuid PRIMARY KEY,
  environment_id uuid NOT NULL REFERENCES environments,
  name           text NOT NULL,
  rule           jsonb NOT NULL,
  next_due_at    timestamptz,
  created_at     timestamptz NOT NULL,
  deleted_at     timestamptz
);

CREATE TABLE backups (
  id                        uuid PRIMARY KEY,
  environment_id            uuid NOT NULL REFERENCES environments,
  state                     text NOT NULL CHECK (state IN ('QUEUED', 'RUNNING', 'COMPLETED', 'DELETING', 'DELETED')),
  success                   text CHECK (success IN ('SUCCESS', 'PARTIAL', 'FAILURE', 'CANCELLED')),
  trigger                   text NOT NULL CHECK (trigger IN ('MANUAL', 'SCHEDULED', 'UPLOAD', 'PRE_RESTORE')),
  policy_class              text NOT NULL CHECK (policy_class IN ('scheduled', 'on_demand', 'temporary', 'safety')),
  notes                     text NOT NULL DEFAULT '',
  schedule_id               uuid REFERENCES schedules,
  due_at                    timestamptz,
  bucket_date               date NOT NULL,
  scheduled_for_deletion_at timestamptz,
  hold_reason               text,
  held_at                   timestamptz,
  created_at                timestamptz NOT NULL,
  ended_at                  timestamptz,
  deleted_at                timestamptz,
  CHECK ((state IN ('QUEUED', 'RUNNING')) = (success IS NULL)),
  UNIQUE (schedule_id, due_at)
);
CREATE INDEX backups_of_environment ON backups (environment_id, created_at DESC);

CREATE TABLE service_instance_backups (
  id                  uuid PRIMARY KEY,
  backup_id           uuid NOT NULL REFERENCES backups,
  service_instance_id uuid NOT NULL REFERENCES service_instances,
  state               text NOT NULL DEFAULT 'QUEUED'
                      CHECK (state IN ('QUEUED', 'RUNNING', 'SEALING', 'COMPLETED', 'DELETING', 'DELETED')),
  success             text CHECK (success IN ('SUCCESS', 'PARTIAL', 'FAILURE', 'CANCELLED')),
  attempt             integer NOT NULL DEFAULT 0,
  tries_left          integer NOT NULL,
  not_before          timestamptz NOT NULL DEFAULT now(),
  cancel_requested_at timestamptz,
  label               text,
  store_id            uuid REFERENCES stores,
  key_prefix          text,
  manifest            text,
  plain_size          bigint,
  stored_size         bigint,
  files               bigint,
  progress            jsonb,
  errors              jsonb NOT NULL DEFAULT '[]',
  warnings            jsonb NOT NULL DEFAULT '[]',
  queued_at           timestamptz NOT NULL,
  started_at          timestamptz,
  ended_at            timestamptz,
  taken_at            timestamptz,
  verified_at         timestamptz,
  verified_level      text CHECK (verified_level IN ('metadata', 'checksum', 'drill')),
  deleted_at          timestamptz,
  UNIQUE (backup_id, service_instance_id),
  CHECK ((state IN ('QUEUED', 'RUNNING', 'SEALING')) = (success IS NULL)),
  CHECK (state <> 'SEALING' OR manifest IS NOT NULL)
);
-- One run per service instance at a time: the claim of a second one fails here and waits.
CREATE UNIQUE INDEX service_instance_backups_one_run ON service_instance_backups (service_instance_id)
  WHERE state IN ('RUNNING', 'SEALING');
-- Two that were to lie in one place (prefixes were exchanged) would overwrite and delete each other's objects.
CREATE UNIQUE INDEX service_instance_backups_place ON service_instance_backups (key_prefix);
CREATE INDEX service_instance_backups_due ON service_instance_backups (not_before) WHERE state = 'QUEUED';
CREATE INDEX service_instance_backups_last ON service_instance_backups (service_instance_id, ended_at DESC)
  WHERE success IN ('SUCCESS', 'PARTIAL');

CREATE TABLE artifacts (
  id                         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  service_instance_backup_id uuid NOT NULL REFERENCES service_instance_backups,
  attempt                    integer NOT NULL,
  kind                       text NOT NULL CHECK (kind IN ('dump', 'archive', 'file-list')),
  key                        text NOT NULL,
  record                     jsonb NOT NULL,
  UNIQUE (service_instance_backup_id, attempt, kind)
);

-- run: the claim of one attempt, one per service-instance backup. read: a backup that is being read and so may not be deleted.
CREATE TABLE leases (
  id                         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  kind                       text NOT NULL CHECK (kind IN ('run', 'read')),
  service_instance_backup_id uuid NOT NULL REFERENCES service_instance_backups,
  attempt                    integer NOT NULL,
  owner                      text NOT NULL,
  expires_at                 timestamptz NOT NULL
);
CREATE UNIQUE INDEX leases_one_run ON leases (service_instance_backup_id) WHERE kind = 'run';
CREATE INDEX leases_expiry ON leases (expires_at);

-- Doorbells to ring, written in the transaction that makes them necessary.
CREATE TABLE outbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue      text NOT NULL,
  job_id     text NOT NULL,
  name       text NOT NULL,
  data       jsonb NOT NULL,
  not_before timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE restores (
  id         uuid PRIMARY KEY,
  backup_id  uuid NOT NULL REFERENCES backups,
  notes      text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  ended_at   timestamptz,
  success    text CHECK (success IN ('SUCCESS', 'PARTIAL', 'FAILURE', 'CANCELLED'))
);

CREATE TABLE service_instance_restores (
  id                         uuid PRIMARY KEY,
  restore_id                 uuid NOT NULL REFERENCES restores,
  service_instance_backup_id uuid NOT NULL REFERENCES service_instance_backups,
  service_instance_id        uuid NOT NULL REFERENCES service_instances,
  state                      text NOT NULL DEFAULT 'QUEUED' CHECK (state IN ('QUEUED', 'RUNNING', 'COMPLETED')),
  success                    text CHECK (success IN ('SUCCESS', 'PARTIAL', 'FAILURE', 'CANCELLED')),
  attempt                    integer NOT NULL DEFAULT 0,
  owner                      text,
  lease_expires_at           timestamptz,
  progress                   jsonb,
  report                     jsonb,
  errors                     jsonb NOT NULL DEFAULT '[]',
  queued_at                  timestamptz NOT NULL,
  started_at                 timestamptz,
  ended_at                   timestamptz,
  CHECK ((state = 'COMPLETED') = (success IS NOT NULL))
);
-- One restore into a target at a time.
CREATE UNIQUE INDEX service_instance_restores_one_run ON service_instance_restores (service_instance_id) WHERE state = 'RUNNING';

CREATE TABLE downloads (
  id         uuid PRIMARY KEY,
  backup_id  uuid NOT NULL REFERENCES backups,
  trigger    text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);

-- One line an artifact that can be fetched.
CREATE TABLE download_service_instances (
  id                         uuid PRIMARY KEY,
  download_id                uuid NOT NULL REFERENCES downloads,
  service_instance_backup_id uuid NOT NULL REFERENCES service_instance_backups,
  artifact_id                uuid REFERENCES artifacts,
  ended_at                   timestamptz NOT NULL,
  errors                     jsonb NOT NULL DEFAULT '[]'
);

-- Down Migration

DROP TABLE download_service_instances, downloads, service_instance_restores, restores, outbox, leases, artifacts,
  service_instance_backups, backups, schedules, service_instances, environments, applications, plans, stores, tokens, organisations;
