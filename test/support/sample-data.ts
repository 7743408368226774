import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'

/** Runs statements in a database. */
export async function inDatabase(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query<Record<string, unknown>>(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

/** A table with this many rows of `bytes` random, so nearly incompressible, hex digits each. */
export const fillTable = (url: string, rows: number, bytes = 100) =>
  inDatabase(
    url,
    `CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)`,
    `INSERT INTO item (body) SELECT left(string_agg(encode(sha512((n || ' ' || part)::bytea), 'hex'), ''), ${bytes})
       FROM generate_series(1, ${rows}) n, generate_series(1, ${Math.ceil(bytes / 128)}) part GROUP BY n`,
  )

/** Files of `bytes` bytes each, a hundred in a folder. */
export async function fillFolder(root: string, files: number, bytes = 64): Promise<void> {
  for (let folder = 0; folder * 100 < files; folder++) {
    const path = join(root, `folder-${folder}`)
    await mkdir(path, { recursive: true })
    const count = Math.min(100, files - folder * 100)
    await Promise.all(
      Array.from({ length: count }, (_, file) =>
        writeFile(join(path, `file-${file}.txt`), `${folder}/${file} `.repeat(bytes).slice(0, bytes)),
      ),
    )
  }
}
