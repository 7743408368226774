import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { SAMPLES } from '../postgres/type-samples.ts'
import { query } from './postgres.ts'

const ZOO = join(import.meta.dirname, '../postgres/zoo.sql')

/** Fills a database with one of everything: kinds of objects, odd names, hostile rows, and a column of every built-in type. */
export async function makeDatabaseZoo(url: string): Promise<void> {
  await query(url, await readFile(ZOO, 'utf8'))
  await query(url, await allTypes(url))
}

export async function builtInTypes(url: string): Promise<string[]> {
  const rows = await query<{ name: string }>(
    url,
    `SELECT typname AS name FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
        AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = pg_type.oid) ORDER BY typname`,
  )
  return rows.map(({ name }) => name)
}

/** A table with a column of every built-in type, and one of its arrays: a row with a value, a row of NULLs. */
async function allTypes(url: string): Promise<string> {
  const types = (await builtInTypes(url)).filter((type) => type in SAMPLES)
  const columns = types.flatMap((type) => {
    const name = `pg_catalog.${escapeIdentifier(type)}`
    return [`${escapeIdentifier(`a ${type}`)} ${name}`, `${escapeIdentifier(`many ${type}`)} ${name}[]`]
  })
  const values = types.flatMap((type) => {
    const value = `${escapeLiteral(SAMPLES[type] ?? '')}::pg_catalog.${escapeIdentifier(type)}`
    return [value, `ARRAY[${value}, NULL]`]
  })
  return `CREATE TABLE all_types (${columns.join(', ')});
    INSERT INTO all_types VALUES (${values.join(', ')});
    INSERT INTO all_types DEFAULT VALUES`
}

export const RELATIONS = `SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm', 'S') AND c.relispopulated AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2`

/** The rows of every table and materialized view by hash, the state of every sequence, every large object by hash. */
export async function fingerprint(url: string): Promise<unknown[]> {
  const relations = await query<{ schema: string; name: string; kind: string }>(url, RELATIONS)
  const hashes: unknown[] = []
  for (const { schema, name, kind } of relations) {
    const from = `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
    const state =
      kind === 'S'
        ? `SELECT last_value, is_called FROM ${from}`
        : `SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM ${from} t`
    hashes.push([name, ...(await query(url, state))])
  }
  const objects = await query(url, 'SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid')
  return [...hashes, objects]
}
