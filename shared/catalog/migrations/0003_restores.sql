-- Up Migration

-- confirm: the name of the target, `application/environment`, as it was typed.
ALTER TABLE restores
  ADD COLUMN confirm text,
  ADD COLUMN safety_backup boolean NOT NULL DEFAULT true;

-- state and attempt are of the action: a restore that has ended may be confirmed or undone later. success is the restore's own.
-- preflight: what the last look at the target found. kept: the old state lies beside the target until somebody confirms or undoes.
-- may_have_leftovers: an attempt was interrupted, and only a worker can tell what it left in the target.
ALTER TABLE service_instance_restores
  ADD COLUMN action text NOT NULL DEFAULT 'restore' CHECK (action IN ('restore', 'confirm', 'undo')),
  ADD COLUMN tries_left integer NOT NULL DEFAULT 3,
  ADD COLUMN selection jsonb NOT NULL DEFAULT '{"schemas": [], "tables": [], "paths": []}',
  ADD COLUMN safety_backup_id uuid REFERENCES backups,
  ADD COLUMN preflight jsonb,
  ADD COLUMN cancel_requested_at timestamptz,
  ADD COLUMN may_have_leftovers boolean NOT NULL DEFAULT false,
  ADD COLUMN kept boolean NOT NULL DEFAULT false,
  ADD COLUMN confirmed_at timestamptz,
  ADD COLUMN undone_at timestamptz;
ALTER TABLE service_instance_restores
  DROP CONSTRAINT service_instance_restores_check,
  ADD CONSTRAINT service_instance_restores_ended CHECK ((action <> 'restore' OR state = 'COMPLETED') = (success IS NOT NULL));
CREATE INDEX service_instance_restores_open ON service_instance_restores (service_instance_id) WHERE state <> 'COMPLETED';
CREATE INDEX service_instance_restores_of ON service_instance_restores (restore_id);

-- Down Migration

DROP INDEX service_instance_restores_of, service_instance_restores_open;
-- What was being confirmed or undone has ended as far as the earlier version knows.
UPDATE service_instance_restores SET state = 'COMPLETED', owner = NULL, lease_expires_at = NULL WHERE action <> 'restore';
ALTER TABLE service_instance_restores
  DROP CONSTRAINT service_instance_restores_ended,
  ADD CONSTRAINT service_instance_restores_check CHECK ((state = 'COMPLETED') = (success IS NOT NULL)),
  DROP COLUMN action, DROP COLUMN tries_left, DROP COLUMN selection, DROP COLUMN safety_backup_id, DROP COLUMN preflight,
  DROP COLUMN cancel_requested_at, DROP COLUMN may_have_leftovers, DROP COLUMN kept, DROP COLUMN confirmed_at, DROP COLUMN undone_at;
ALTER TABLE restores DROP COLUMN confirm, DROP COLUMN safety_backup;
