-- Up Migration

-- A schedule is one rule of an environment's plan. last_due_at: its newest occurrence that was decided, fired or missed.
ALTER TABLE schedules ADD COLUMN last_due_at timestamptz;
CREATE UNIQUE INDEX schedules_name ON schedules (environment_id, name) WHERE deleted_at IS NULL;
CREATE INDEX schedules_due ON schedules (next_due_at) WHERE deleted_at IS NULL;

-- Every due time is decided once, however many bells ring for it.
CREATE TABLE occurrences (
  schedule_id uuid NOT NULL REFERENCES schedules,
  due_at      timestamptz NOT NULL,
  state       text NOT NULL CHECK (state IN ('fired', 'missed')),
  backup_id   uuid REFERENCES backups,
  decided_at  timestamptz NOT NULL,
  PRIMARY KEY (schedule_id, due_at)
);

-- A good backup is expected within so many hours of the last one; NULL: soon after the next due time.
ALTER TABLE plans
  ADD COLUMN is_shipped boolean NOT NULL DEFAULT false,
  ADD COLUMN expected_within_hours integer;

-- late: caught up after its due time. A deletion by hand can be undone until delete_after.
ALTER TABLE backups
  ADD COLUMN late boolean NOT NULL DEFAULT false,
  ADD COLUMN held_by text,
  ADD COLUMN delete_requested_at timestamptz,
  ADD COLUMN delete_after timestamptz,
  ADD COLUMN delete_reason text,
  ADD COLUMN delete_forced boolean NOT NULL DEFAULT false;

ALTER TABLE service_instance_backups
  ADD COLUMN suspect_reason text,
  ADD COLUMN suspect_cleared_at timestamptz,
  ADD COLUMN corrupt_at timestamptz,
  ADD COLUMN lost_at timestamptz,
  ADD COLUMN delete_reason text,
  ADD COLUMN state_written jsonb;

-- Pruning of an environment that a guard has stopped, until a person allows it again: that lets one prune pass the guards.
-- last_pruned_at: when a prune last was let through; prune_tried_at: when one last began.
ALTER TABLE environments
  ADD COLUMN pruning_stopped_reason text,
  ADD COLUMN pruning_stopped_at timestamptz,
  ADD COLUMN pruning_allowed_at timestamptz,
  ADD COLUMN last_pruned_at timestamptz,
  ADD COLUMN prune_tried_at timestamptz;

-- Numbers the bells of prunes, since a bell of the same name as a running job would be lost.
CREATE SEQUENCE prune_bells;

-- What needs a person's attention. One open alert for each kind and subject.
CREATE TABLE alerts (
  id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  kind           text NOT NULL,
  subject        text NOT NULL,
  environment_id uuid REFERENCES environments,
  message        text NOT NULL,
  raised_at      timestamptz NOT NULL,
  resolved_at    timestamptz
);
CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject) WHERE resolved_at IS NULL;

-- Down Migration

DROP TABLE alerts, occurrences;
DROP SEQUENCE prune_bells;
ALTER TABLE environments DROP COLUMN pruning_stopped_reason, DROP COLUMN pruning_stopped_at, DROP COLUMN pruning_allowed_at,
  DROP COLUMN last_pruned_at, DROP COLUMN prune_tried_at;
ALTER TABLE service_instance_backups DROP COLUMN suspect_reason, DROP COLUMN suspect_cleared_at, DROP COLUMN corrupt_at,
  DROP COLUMN lost_at, DROP COLUMN delete_reason, DROP COLUMN state_written;
ALTER TABLE backups DROP COLUMN late, DROP COLUMN held_by, DROP COLUMN delete_requested_at, DROP COLUMN delete_after,
  DROP COLUMN delete_reason, DROP COLUMN delete_forced;
ALTER TABLE plans DROP COLUMN is_shipped, DROP COLUMN expected_within_hours;
DROP INDEX schedules_name, schedules_due;
ALTER TABLE schedules DROP COLUMN last_due_at;
