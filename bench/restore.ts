/**
 * A restore beside `age -d | zstd -d | pg_restore` of the same artifact in the same run: `npm run bench:restore [-- <MiB> <rounds>]`. Preflight
 * and the safety backup are shown apart. Needs the programs age and zstd, and free memory of eight times the size.
 */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { subscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureTestServices } from '../scripts/services/test-services.ts'
import { CofferError } from '../shared/errors.ts'
import { Selection } from '../shared/domain/selection.ts'
import { generateIdentity } from '../shared/pipeline/age-header.ts'
import { readFromChild } from '../shared/pipeline/child.ts'
import { writeArtifact } from '../shared/pipeline/write-artifact.ts'
import { findPostgresClients } from '../shared/postgres/clients.ts'
import { parsePostgresUrl } from '../shared/postgres/connection.ts'
import { openDump } from '../shared/postgres/dump.ts'
import { openClientEnvironment } from '../shared/postgres/environment.ts'
import { FileStore } from '../shared/storage/file-store.ts'
import { createOwnedDatabase } from '../test/support/database-parts.ts'
import { createTestDatabase } from '../test/support/databases.ts'
import { fillTable, inDatabase } from '../test/support/sample-data.ts'
import { databaseRestorer } from '../workers/restore/restore-database.ts'
import type { RestorePart } from '../workers/restore/restorer.ts'

const [mib = 1024, rounds = 2] = process.argv.slice(2).map(Number)
const ROW_BYTES = 640

const services = await ensureTestServices(process.env)
process.env.COFFER_TEST_DATABASE_URL = services.databaseUrl
const folder = await mkdtemp(join(tmpdir(), 'coffer-bench-'))

let lastStep = 0

async function timed<T>(title: string, work: () => Promise<T>): Promise<{ seconds: number; result: T }> {
  await settle()
  const begun = (lastStep = performance.now())
  const busy = processorSeconds()
  const result = await work()
  const seconds = (performance.now() - begun) / 1000
  const used = `${(processorSeconds() - busy).toFixed(1)} s of processor, load ${loadavg()[0]?.toFixed(1)}`
  console.log(`${title.padEnd(52)} ${seconds.toFixed(1).padStart(7)} s, ${used}`)
  return { seconds, result }
}

/**
 * Nobody pays for what came before. What it wrote is on the disk first. And memory is touched by somebody else: a virtual machine gives
 * back what is free, and who needs it next waits for the host, which made the server's COPY take up to twice the time.
 */
async function settle(): Promise<void> {
  await inDatabase(services.databaseUrl, 'CHECKPOINT')
  execFileSync('sync')
  const touch = `const held = []; for (let mib = 0; mib < ${8 * mib}; mib++) held.push(Buffer.alloc(2 ** 20, 1))`
  execFileSync(process.execPath, ['--eval', touch])
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [low = NaN, high = NaN] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return (low + high) / 2
}

/** Of this process and of its children that have ended, the server's not among them: a busy machine is slow to whoever needs more. */
function processorSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'latin1').split(') ')[1]?.split(' ') ?? []
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) / 100, 0)
}

/** Where the time of a restore goes. */
subscribe('coffer:step', (message) => {
  const now = performance.now()
  const { step } = message as { step: string }
  console.log(`  ${step.padEnd(50)} ${((now - lastStep) / 1000).toFixed(1).padStart(7)} s`)
  lastStep = now
})

const source = await createTestDatabase()
const target = await createOwnedDatabase('CREATEDB')
try {
  await fillTable(source.url, Math.ceil((mib * 2 ** 20) / ROW_BYTES), ROW_BYTES)
  // Autovacuum would come to the table of one while another is measured; a dump carries the setting.
  const alone = 'ALTER TABLE item SET (autovacuum_enabled = off)'
  await inDatabase(source.url, 'CREATE INDEX ON item (left(body, 20))', alone)
  const store = new FileStore(folder)
  await store.prepare()
  const { identity, recipient } = await generateIdentity()
  const clients = await findPostgresClients()
  const backUp = async (url: string, key: string) => {
    const dump = await openDump({ connection: parsePostgresUrl(url), clients })
    const inspected = (async function* () {
      for await (const chunk of dump.source) {
        dump.inspect(chunk)
        yield chunk
      }
    })()
    const { record } = await writeArtifact({ store, key, kind: 'dump', source: inspected, recipients: [recipient] })
    return { record, contents: dump.contents() }
  }
  const { result: backup } = await timed('backup of the source', () => backUp(source.url, 'source'))
  await writeFile(join(folder, 'identity'), `${identity}\n`, { mode: 0o600 })
  const [client] = clients
  if (!client) throw new CofferError('CLIENT_MISSING', 'pg_restore is not installed')

  const byPrograms = async () => {
    const fresh = await createOwnedDatabase()
    await using environment = await openClientEnvironment(parsePostgresUrl(fresh.url))
    const files = [join(folder, 'identity'), join(folder, 'source')]
    const pipe =
      'set -o pipefail; age -d -i "$0" "$1" | zstd -dq -c | "$2" --no-password --dbname= --exit-on-error --no-owner --no-acl'
    const command = { program: 'bash', args: ['-c', pipe, ...files, client.pgRestore], env: environment.variables }
    const onFailure = (exit: { stderrTail: string }) => new CofferError('RESTORE_FAILED', exit.stderrTail)
    const { seconds } = await timed('age -d | zstd -d | pg_restore, into a fresh database', async () => {
      for await (const printed of readFromChild({ ...command, onFailure })) process.stdout.write(printed)
    })
    await fresh.drop()
    return seconds
  }

  const byCoffer = async () => {
    await timed('safety backup of the target', () => backUp(target.url, 'safety'))
    const part: RestorePart<typeof backup.contents> = {
      ...{ id: randomUUID(), attempt: 1, contents: backup.contents, selection: Selection.parse({}), store },
      ...{
        artifacts: [backup.record],
        identities: [identity],
        connection: { url: target.url },
        egress: 'installation',
        mediaBounds: { roots: null, stores: [] },
      },
      config: {} as RestorePart['config'],
      life: {
        ...{
          signal: new AbortController().signal,
          report: () => undefined,
          allMoved: () => undefined,
          isSealing: false,
        },
        ...{ beginSealing: () => undefined, end: () => Promise.resolve() },
      },
    }
    const { result: preflight } = await timed('preflight', () => databaseRestorer.preflight(part))
    const { seconds, result } = await timed('restore: read, decrypt, pg_restore, compare, swap', () =>
      databaseRestorer.restore(part, preflight),
    )
    console.log(JSON.stringify(result))
    await databaseRestorer.confirm(part)
    return seconds
  }

  const seconds = { coffer: [] as number[], programs: [] as number[] }
  for (let round = 1; round <= rounds; round++) {
    // Which of them is first changes, so that neither has always the warmer caches.
    if (round % 2 === 0) seconds.coffer.push(await byCoffer())
    seconds.programs.push(await byPrograms())
    if (round % 2 === 1) seconds.coffer.push(await byCoffer())
    const ratio = (seconds.coffer.at(-1) ?? NaN) / (seconds.programs.at(-1) ?? NaN)
    console.log(`round ${round}: ratio ${ratio.toFixed(2)}`)
  }
  const [coffer, programs] = [median(seconds.coffer), median(seconds.programs)]
  console.log(`medians: ${coffer.toFixed(1)} s and ${programs.toFixed(1)} s, ratio ${(coffer / programs).toFixed(2)}`)
} finally {
  await source.drop()
  await target.drop()
  await rm(folder, { recursive: true })
  await services.stop()
}
