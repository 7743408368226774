-- Up Migration

-- Public keys that were registered, and those of the environment that were retired. What is retired is used by nobody any more.
CREATE TABLE recipients (
  recipient  text PRIMARY KEY,
  name       text NOT NULL,
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);

-- What each running worker says about its identities; it is worth nothing after its expiry. opens: the public keys of those that
-- open what is written now.
CREATE TABLE key_reports (
  process    text PRIMARY KEY,
  name       text NOT NULL,
  loaded     text[] NOT NULL,
  opens      text[] NOT NULL,
  expires_at timestamptz NOT NULL
);

-- recipients: those of the manifest. unverified_at: since when it is known from a manifest without this Coffer's signature, which
-- nobody has accepted yet.
ALTER TABLE service_instance_backups
  ADD COLUMN recipients text[],
  ADD COLUMN unverified_at timestamptz;
UPDATE service_instance_backups s
   SET recipients = ARRAY(SELECT jsonb_array_elements_text(s.manifest::jsonb->'recipients'))
 WHERE s.state IN ('SEALING', 'COMPLETED', 'DELETING') AND s.manifest::jsonb ? 'recipients';

-- NULL: the catalog was rebuilt, and nobody has given it again.
ALTER TABLE service_instances ALTER COLUMN connection DROP NOT NULL;

-- Down Migration

DELETE FROM service_instances WHERE connection IS NULL;
ALTER TABLE service_instances ALTER COLUMN connection SET NOT NULL;
ALTER TABLE service_instance_backups DROP COLUMN recipients, DROP COLUMN unverified_at;
DROP TABLE key_reports, recipients;
