import { createHash } from 'node:crypto'
import { lstat, readFile, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Client, escapeIdentifier } from 'pg'

/** What must be equal before and after: rows and their hash by table, content hash by file. */
export interface Fingerprint {
  tables: Map<string, { rows: number; md5: string }>
  files: Map<string, string>
}

export async function take(databaseUrl: string, media: string): Promise<Fingerprint> {
  return { tables: await hashTables(databaseUrl), files: await hashFiles(media) }
}

async function hashTables(url: string): Promise<Fingerprint['tables']> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows: names } = await client.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') ORDER BY relname`,
    )
    const tables: Fingerprint['tables'] = new Map()
    for (const { name } of names) {
      const { rows } = await client.query<{ rows: number; md5: string }>(
        `SELECT count(*)::int AS rows, md5(string_agg(t::text, ',' ORDER BY t::text)) AS md5 FROM ${escapeIdentifier(name)} t`,
      )
      if (rows[0]) tables.set(name, rows[0])
    }
    return tables
  } finally {
    await client.end()
  }
}

async function hashFiles(root: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const name of (await readdir(root, { recursive: true })).sort()) {
    const path = join(root, name)
    const stats = await lstat(path)
    if (stats.isSymbolicLink()) files.set(name, `link to ${await readlink(path)}`)
    if (stats.isFile())
      files.set(
        name,
        createHash('sha256')
          .update(await readFile(path))
          .digest('hex'),
      )
  }
  return files
}

export function compare(before: Fingerprint, after: Fingerprint): { lines: string[]; isEqual: boolean } {
  const lines = [...before.tables].map(([name, { rows, md5 }]) => {
    const now = after.tables.get(name)
    const verdict = now?.md5 === md5 && now.rows === rows ? '=' : '≠'
    return `${verdict} table ${name}: ${rows} rows, md5 ${md5} → ${now?.rows ?? 'no'} rows, md5 ${now?.md5 ?? '-'}`
  })
  const differing = [...before.files].filter(([name, hash]) => after.files.get(name) !== hash)
  const added = [...after.files.keys()].filter((name) => !before.files.has(name))
  const equal = before.files.size - differing.length
  lines.push(
    `${differing.length + added.length === 0 ? '=' : '≠'} files: ${equal} of ${before.files.size} are the same by SHA-256`,
  )
  lines.push(...differing.map(([name]) => `≠ ${name}`), ...added.map((name) => `≠ ${name} was not there before`))
  const sameTables = after.tables.size === before.tables.size
  return { lines, isEqual: sameTables && lines.every((line) => line.startsWith('=')) }
}
