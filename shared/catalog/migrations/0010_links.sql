-- Up Migration

-- Whose links they are, as of downloads. Of uploads made before nobody knows.
-- writing_key: the staged object of the one who writes now, as long as writing_until has not passed.
ALTER TABLE uploads
  ADD COLUMN created_by uuid REFERENCES tokens,
  ADD COLUMN writing_key text;
CREATE INDEX uploads_of_token ON uploads (created_by) WHERE finished_at IS NULL;
CREATE INDEX downloads_of_token ON downloads (created_by, expires_at);

-- Down Migration

DROP INDEX downloads_of_token, uploads_of_token;
ALTER TABLE uploads DROP COLUMN created_by, DROP COLUMN writing_key;
