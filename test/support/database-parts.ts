import { randomBytes, randomUUID } from 'node:crypto'
import { escapeIdentifier } from 'pg'
import type { DumpContents } from '../../shared/domain/manifest.ts'
import { Selection } from '../../shared/domain/selection.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import type { RestorePart } from '../../workers/restore/restorer.ts'
import { onTestServer, type TestDatabase } from './databases.ts'
import { fingerprint } from './database-zoo.ts'
import type { WholeDump } from './dumps.ts'
import { MemoryStore } from './memory-store.ts'
import { createDatabaseNamed, dumpAsText, urlOfDatabase } from './postgres.ts'
import { inPieces } from './streams.ts'

const KEY = 'dump.pgdump.zst.age'

export interface StoredDump extends WholeDump {
  store: MemoryStore
  /** What a restore of it into this database is given. */
  into(
    url: string,
    changes?: { id?: string; selection?: Partial<Selection>; signal?: AbortSignal },
  ): RestorePart<DumpContents>
}

/** A dump as an artifact in a store in memory. */
export async function storeDump(whole: WholeDump): Promise<StoredDump> {
  const store = new MemoryStore()
  const { identity, recipient } = await generateIdentity()
  const source = inPieces(whole.bytes, 30_000)
  const { record } = await writeArtifact({ store, key: KEY, kind: 'dump', source, recipients: [recipient] })
  const into: StoredDump['into'] = (url, { id = randomUUID(), selection = {}, signal } = {}) => ({
    ...{ id, attempt: 1, contents: whole.contents, selection: Selection.parse(selection), store, artifacts: [record] },
    ...{ identities: [identity], connection: { url }, egress: 'installation', config: {} as RestorePart['config'] },
    life: lifeOf(signal ?? new AbortController().signal),
  })
  return { ...whole, store, into }
}

const lifeOf = (signal: AbortSignal): RestorePart['life'] => ({
  ...{ signal, isSealing: false, report: () => undefined, allMoved: () => undefined, beginSealing: () => undefined },
  end: () => Promise.resolve(),
})

/** Spoils one byte of the stored artifact near its end. */
export function spoil({ store }: StoredDump): void {
  const bytes = Buffer.from(store.get(KEY))
  const at = Math.floor(bytes.length * 0.9)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  store.objects.set(KEY, bytes)
}

/** Cuts the stored artifact short. */
export function truncate({ store }: StoredDump): void {
  store.objects.set(KEY, store.get(KEY).subarray(0, Math.floor(store.get(KEY).length * 0.9)))
}

/** All of a database that a restore may change: its SQL, rows and sequences by value, and large objects. */
export async function stateOf(url: string): Promise<{ sql: string; rows: unknown[] }> {
  return { sql: await dumpAsText(parsePostgresUrl(url)), rows: await fingerprint(url) }
}

export interface OwnedDatabase extends TestDatabase {
  user: string
}

/** A database with a role of its own that is no superuser. */
export async function createOwnedDatabase(
  rights = '',
  name = `owned_${randomBytes(4).toString('hex')}`,
): Promise<OwnedDatabase> {
  const user = `owner_${randomBytes(4).toString('hex')}`
  const password = randomBytes(12).toString('hex')
  await onTestServer(`CREATE ROLE ${user} LOGIN ${rights} PASSWORD '${password}'`)
  const database = await createDatabaseNamed(name, `OWNER ${escapeIdentifier(user)}`)
  return {
    ...{ name, user, url: urlOfDatabase(name, { user, password }) },
    async drop() {
      await database.drop()
      await onTestServer(`DROP ROLE IF EXISTS ${user}`)
    },
  }
}
