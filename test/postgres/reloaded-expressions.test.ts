import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { canonicalSql } from '../../shared/postgres/canonical-sql.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { restoreIntoScratch } from '../../shared/postgres/restore-into-scratch.ts'
import { dropScratch, scratchName } from '../../shared/postgres/scratch.ts'
import { createTestDatabase } from '../support/databases.ts'
import { dumpWhole } from '../support/dumps.ts'
import { clients, dumpAsText, query } from '../support/postgres.ts'
import { inPieces } from '../support/streams.ts'

const SCHEMA = `
  CREATE TYPE mood AS ENUM ('well', 'ill');
  CREATE DOMAIN colour AS varchar(9) CHECK (VALUE IN ('red', 'green'));
  CREATE TABLE parcel (id int PRIMARY KEY, status varchar(20) CHECK (status IN ('new', 'sent', 'it''s (lost)')), code char(3) CHECK (code IN ('a', 'b')),
    weight numeric(8, 2), since timestamp(3) DEFAULT '2026-01-01'::timestamp(3), mood mood CHECK (mood IN ('well', 'ill')),
    CHECK (weight BETWEEN 1 AND 2 AND id > 0), CHECK (id > 0 AND (id < 9 AND (id <> 5 AND id <> 6))), CHECK (status NOT IN ('x', 'y') OR id::numeric(9, 2) > 1.5));
  CREATE INDEX ON parcel (id) WHERE status IN ('new', 'sent');
  CREATE VIEW sent AS SELECT * FROM parcel WHERE status IN ('sent', 'lost') AND id BETWEEN 1 AND 9 AND weight > 1;
  CREATE POLICY seen ON parcel USING (status IN ('new', 'sent'));
  CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER t BEFORE UPDATE ON parcel FOR EACH ROW WHEN (NEW.status IN ('new', 'sent')) EXECUTE FUNCTION nothing();
  CREATE FUNCTION chosen(s varchar) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT s IN ('new', 'sent'); END;
  CREATE RULE r AS ON DELETE TO parcel WHERE OLD.status IN ('sent', 'lost') DO INSTEAD NOTHING;
  CREATE STATISTICS st ON (status IN ('new', 'sent')), (id + 1) FROM parcel;`

test('a schema that PostgreSQL writes differently once it was reloaded is the same schema', async () => {
  const source = await createTestDatabase()
  await query(source.url, ...SCHEMA.split(/;\n/).filter((statement) => statement.trim() !== ''))
  const { bytes, contents } = await dumpWhole(source.url)
  const [server, name] = [parsePostgresUrl(source.url), scratchName('drill', randomUUID())]
  const into = { server, name, marker: 'a drill', clients, expected: contents }
  try {
    const report = await restoreIntoScratch({ ...into, dump: inPieces(bytes, 10_000) })
    expect(report).toMatchObject({ compared: 'definitions', left_out: [] })
    // Otherwise this test would show nothing.
    const [before, after] = await Promise.all([dumpAsText(server), dumpAsText({ ...server, database: name })])
    expect(after.replaceAll(name, server.user)).not.toBe(before)
  } finally {
    await dropScratch(server, name, 'a drill')
    await source.drop()
  }
})

describe('what remains of SQL', () => {
  test.each([
    [
      `CHECK (((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))`,
      `CHECK (((status)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))`,
    ],
    [`((a >= 1) AND (a <= 2) AND (b > 0))`, `(((a >= 1) AND (a <= 2)) AND (b > 0))`],
    [`'1 day'::interval day to second(3)`, `'1 day'`],
    [`x::timestamp(3) without time zone`, `(x)::timestamp(6) with time zone`],
    [`x::"My type"[]`, `x::public."other"`],
  ])('%s is as %s', (one, other) => {
    expect(canonicalSql(one)).toBe(canonicalSql(other))
  })

  test.each([
    [`CHECK (a > 1)`, `CHECK (a > 2)`],
    [`'a (b) ::text'`, `'a b'`],
    [`'it''s (b)'`, `'it''s b'`],
    [`E'\\\\' || '(a)'`, `E'\\\\' || 'a'`],
    [`"a (b)"`, `"a b"`],
    [`AS $_$ SELECT (1) $_$`, `AS $_$ SELECT 1 $_$`],
    [`'\\' || '(a)'`, `'\\' || 'a'`],
  ])('%s is not as %s', (one, other) => {
    expect(canonicalSql(one)).not.toBe(canonicalSql(other))
  })
})
