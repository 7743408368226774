import type { DumpContents } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'

/** How `rowCheck` says what it found, among the lines that pg_restore prints. */
const FOUND = 'coffer found differences: '

/**
 * SQL that fails where a table has other rows, or the database other large objects, than the dump: run at the end of the data within a
 * transaction, it keeps that from being committed.
 */
export function rowCheck({
  tables,
  large_objects,
}: {
  tables: DumpContents['tables']
  large_objects: number | null
}): string {
  const listed = tables.map(({ schema, name, rows }) => `(${asText(schema)}, ${asText(name)}, ${rows}::bigint)`)
  return `DO $coffer$
    DECLARE
      expected record; counted bigint; found text[] := '{}';
    BEGIN
      ${listed.length === 0 ? '' : COUNT_TABLES.replace('$values', () => listed.join(', '))}
      ${large_objects === null ? '' : COUNT_LARGE_OBJECTS.replaceAll('$count', String(large_objects))}
      IF pg_catalog.cardinality(found) > 0 THEN
        RAISE EXCEPTION '${FOUND}%', pg_catalog.to_json(found[1:10]);
      END IF;
    END $coffer$`
}

/** Runs SQL of any characters in a session of any encoding. */
export function inAnyEncoding(sql: string): string {
  // eslint-disable-next-line no-control-regex -- exactly ASCII
  return /^[\x00-\x7f]*$/.test(sql) ? sql : `DO $coffer$ BEGIN EXECUTE ${asText(sql)}; END $coffer$`
}

/** What the check said, in the text that the program ended with; null where it said nothing. */
export function foundDifferences(stderr: string): string[] | null {
  const found = new RegExp(`${FOUND}(\\[.*\\])`).exec(stderr)?.[1]
  return found === undefined ? null : (JSON.parse(found) as string[])
}

export function mismatch(differences: readonly string[], where: string): CofferError {
  return new CofferError('RESTORE_MISMATCH', `${where} would differ from the dump: ${differences.join('; ')}`, {
    details: { differences },
  })
}

const asText = (text: string) =>
  `pg_catalog.convert_from(pg_catalog.decode('${Buffer.from(text).toString('hex')}', 'hex'), 'UTF8')`

const COUNT_TABLES = `
      FOR expected IN SELECT * FROM (VALUES $values) listed (schema, name, rows) LOOP
        EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM ONLY %I.%I', expected.schema, expected.name) INTO counted;
        IF counted <> expected.rows THEN
          found := found || pg_catalog.format('"%s"."%s" has %s rows, not %s', expected.schema, expected.name, counted, expected.rows);
        END IF;
      END LOOP;`

const COUNT_LARGE_OBJECTS = `
      SELECT pg_catalog.count(*) INTO counted FROM pg_catalog.pg_largeobject_metadata;
      IF counted <> $count THEN
        found := found || pg_catalog.format('it has %s large objects, not %s', counted, $count);
      END IF;`
