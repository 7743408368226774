-- Up Migration

-- media_roots NULL: all that the operator allows.
ALTER TABLE organisations ADD COLUMN media_roots text[];

-- created_by NULL: the bootstrap token, which the configuration makes.
ALTER TABLE tokens
  ADD COLUMN created_by uuid REFERENCES tokens,
  ADD COLUMN expires_at timestamptz,
  ADD COLUMN last_used_at timestamptz;

-- Whose links they are.
ALTER TABLE downloads ADD COLUMN created_by uuid REFERENCES tokens;

-- Who did what. status NULL: it has begun, and a second line with the same request_id says how it ended.
CREATE TABLE audit (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at              timestamptz NOT NULL,
  token_id        uuid,
  token_name      text,
  organisation_id uuid,
  address         text NOT NULL,
  action          text NOT NULL,
  targets         uuid[] NOT NULL,
  status          integer,
  code            text,
  changes         jsonb NOT NULL DEFAULT '{}',
  request_id      text NOT NULL
);
CREATE INDEX audit_of_organisation ON audit (organisation_id, id);
CREATE INDEX audit_of_token ON audit (token_id, id);
CREATE INDEX audit_targets ON audit USING gin (targets);
CREATE INDEX audit_at ON audit (at);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is only added to: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

-- Answers to requests with an Idempotency-Key, encrypted, for a day.
CREATE TABLE idempotency_keys (
  token_id       uuid NOT NULL REFERENCES tokens,
  key            text NOT NULL,
  request_sha256 bytea NOT NULL,
  status         integer NOT NULL,
  body           bytea NOT NULL,
  created_at     timestamptz NOT NULL,
  PRIMARY KEY (token_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Down Migration

DROP TABLE idempotency_keys, audit;
DROP FUNCTION refuse_audit_change;
ALTER TABLE downloads DROP COLUMN created_by;
ALTER TABLE tokens DROP COLUMN created_by, DROP COLUMN expires_at, DROP COLUMN last_used_at;
ALTER TABLE organisations DROP COLUMN media_roots;
