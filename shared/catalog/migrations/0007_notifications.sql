-- Up Migration

-- What happened, in the order it happened, told once to everybody who wants to know. subject: what the order is kept of, besides the backup.
CREATE TABLE events (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  seq             bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  kind            text NOT NULL,
  organisation_id uuid REFERENCES organisations,
  environment_id  uuid REFERENCES environments,
  backup_id       uuid REFERENCES backups,
  subject         text NOT NULL,
  at              timestamptz NOT NULL,
  message         text NOT NULL,
  facts           jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_of_environment ON events (environment_id, seq DESC);
CREATE INDEX events_at ON events (at);

-- Who is told. organisation_id NULL: the whole installation. secret: its address and signing secret, encrypted; target: what may be shown of it.
-- kinds NULL: all but except_kinds. paused_until: it did not answer. sender: the process that sends to it now.
CREATE TABLE notification_sinks (
  id                uuid PRIMARY KEY,
  organisation_id   uuid REFERENCES organisations,
  name              text NOT NULL,
  type              text NOT NULL CHECK (type IN ('webhook', 'email', 'heartbeat')),
  format            text CHECK (format IN ('coffer', 'slack')),
  target            text NOT NULL,
  secret            bytea NOT NULL,
  environment_ids   uuid[],
  kinds             text[],
  except_kinds      text[] NOT NULL,
  failures          integer NOT NULL DEFAULT 0,
  last_error        text,
  paused_until      timestamptz NOT NULL DEFAULT '-infinity',
  sender            text,
  sender_expires_at timestamptz NOT NULL DEFAULT '-infinity',
  created_at        timestamptz NOT NULL,
  deleted_at        timestamptz
);

-- One event for one sink. lane: within it, a later one waits for the earlier.
CREATE TABLE notification_deliveries (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  event_id   uuid NOT NULL REFERENCES events ON DELETE CASCADE,
  sink_id    uuid NOT NULL REFERENCES notification_sinks,
  seq        bigint NOT NULL,
  lane       text NOT NULL,
  state      text NOT NULL DEFAULT 'QUEUED' CHECK (state IN ('QUEUED', 'DELIVERED', 'GAVE_UP')),
  tries      integer NOT NULL DEFAULT 0,
  not_before timestamptz NOT NULL DEFAULT now(),
  error      text,
  created_at timestamptz NOT NULL,
  ended_at   timestamptz,
  UNIQUE (event_id, sink_id)
);
CREATE INDEX notification_deliveries_queued ON notification_deliveries (sink_id, seq) WHERE state = 'QUEUED';
CREATE INDEX notification_deliveries_of_sink ON notification_deliveries (sink_id, seq DESC);

-- Who lives: each worker says so every few seconds.
CREATE TABLE workers (
  owner              text PRIMARY KEY,
  started_at         timestamptz NOT NULL DEFAULT now(),
  last_seen          timestamptz NOT NULL DEFAULT now(),
  last_reconciled_at timestamptz
);

-- organisation_id: of an alert that concerns no environment. NULL: the whole installation.
ALTER TABLE alerts ADD COLUMN organisation_id uuid REFERENCES organisations;

-- Whose admin has registered the connection: an organisation's may lead only where the egress policy lets it.
ALTER TABLE service_instances ADD COLUMN egress text NOT NULL DEFAULT 'installation'
  CHECK (egress IN ('installation', 'organisation'));

-- Every event finds its sinks, and their doorbells, in the transaction that makes it, whoever makes it.
CREATE FUNCTION queue_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  WITH queued AS (
    INSERT INTO notification_deliveries (event_id, sink_id, seq, lane, created_at)
    SELECT NEW.id, n.id, NEW.seq, coalesce(NEW.backup_id::text, NEW.subject), NEW.at
      FROM notification_sinks n
     WHERE n.deleted_at IS NULL
       AND (n.organisation_id IS NULL OR n.organisation_id = NEW.organisation_id)
       AND (n.environment_ids IS NULL OR NEW.environment_id = ANY(n.environment_ids))
       AND (n.kinds IS NULL OR NEW.kind = ANY(n.kinds)) AND NOT NEW.kind = ANY(n.except_kinds)
       -- A heartbeat tells of backups that stay: a temporary one, or one taken before a restore, proves nothing about tomorrow.
       AND (n.type <> 'heartbeat' OR NEW.facts->>'policy_class' IN ('scheduled', 'on_demand'))
       -- That a sink is broken is not told through it.
       AND NEW.subject <> 'notify-failed ' || n.id
    RETURNING sink_id)
  INSERT INTO outbox (queue, job_id, name, data)
  SELECT 'notify', q.sink_id || '-' || NEW.seq, n.name, jsonb_build_object('id', q.sink_id, 'attempt', 0)
    FROM queued q JOIN notification_sinks n ON n.id = q.sink_id;
  RETURN NULL;
END $$;
CREATE TRIGGER events_deliveries AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION queue_deliveries();

-- An alert that is raised or resolved is an event, by whatever statement; one that only takes a newer message is none.
CREATE FUNCTION tell_of_alert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  backup uuid;
BEGIN
  IF NEW.subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    backup := coalesce((SELECT backup_id FROM service_instance_backups WHERE id = NEW.subject::uuid),
                       (SELECT id FROM backups WHERE id = NEW.subject::uuid));
  END IF;
  INSERT INTO events (kind, organisation_id, environment_id, backup_id, subject, at, message, facts)
  VALUES (NEW.kind || '.' || TG_ARGV[0],
          coalesce(NEW.organisation_id, (SELECT a.organisation_id FROM environments e JOIN applications a ON a.id = e.application_id
                                          WHERE e.id = NEW.environment_id)),
          NEW.environment_id, backup, NEW.kind || ' ' || NEW.subject, coalesce(NEW.resolved_at, NEW.raised_at), NEW.message,
          jsonb_build_object('alert', NEW.id, 'subject', NEW.subject, 'raised_at', NEW.raised_at));
  RETURN NULL;
END $$;
CREATE TRIGGER alerts_raised AFTER INSERT ON alerts FOR EACH ROW WHEN (NEW.resolved_at IS NULL)
  EXECUTE FUNCTION tell_of_alert('raised');
CREATE TRIGGER alerts_resolved AFTER UPDATE ON alerts FOR EACH ROW WHEN (OLD.resolved_at IS NULL AND NEW.resolved_at IS NOT NULL)
  EXECUTE FUNCTION tell_of_alert('resolved');

-- Down Migration

DROP TRIGGER alerts_raised ON alerts;
DROP TRIGGER alerts_resolved ON alerts;
DROP TABLE notification_deliveries, notification_sinks, events, workers;
DROP FUNCTION tell_of_alert, queue_deliveries;
ALTER TABLE alerts DROP COLUMN organisation_id;
ALTER TABLE service_instances DROP COLUMN egress;
