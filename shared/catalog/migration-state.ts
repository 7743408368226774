import { readdir } from 'node:fs/promises'
import type { Db } from './database.ts'

/** The migrations of this version that the catalog has not had yet, by file name without `.sql`. */
export async function missingMigrations(db: Db): Promise<string[]> {
  const files = await readdir(new URL('./migrations/', import.meta.url))
  const known = files.filter((file) => file.endsWith('.sql')).map((file) => file.replace(/\.sql$/, ''))
  const [table] = await db.query<{ name: string | null }>(`SELECT to_regclass('pgmigrations')::text AS name`)
  if (table?.name == null) return known.sort()
  const rows = await db.query<{ name: string }>('SELECT name FROM pgmigrations')
  const applied = new Set(rows.map((row) => row.name))
  return known.filter((name) => !applied.has(name)).sort()
}
