import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { migrate } from '../shared/catalog/migrate.ts'
import { CofferError } from '../shared/errors.ts'
import { ensureServices } from './services/ensure-services.ts'
import { openDataFolder } from './services/folders.ts'
import { endProcess } from './services/processes.ts'
import { readRunRecord, removeRunRecord, updateRunRecord } from './services/run-record.ts'
import { answersHealth, chooseAddress } from './up/address.ts'
import { holdFolder } from './up/exclusive.ts'
import { openKeys, type Keys } from './up/keys.ts'
import { listenForStop, type StopSignals } from './up/signals.ts'
import { supervise, type Program, type Surroundings } from './up/supervisor.ts'

const USAGE = 'npm run up [-- --workers <number>]'
const CHECKOUT = join(import.meta.dirname, '..')

type Given = Readonly<Record<string, string | undefined>>

/** Everything on one machine, until a signal: servers, schema, producer, workers. Stops them in the opposite order. */
async function up(given: Given, workers: number, signals: StopSignals, write: (line: string) => void): Promise<void> {
  const dataDir = openDataFolder(resolve(given.COFFER_DATA_DIR ?? join(CHECKOUT, '.coffer')))
  await using scope = new AsyncDisposableStack()
  const release = holdFolder(dataDir)
  if (release === null) throw alreadyRuns(dataDir)
  scope.defer(release)
  await endLeftovers(dataDir)

  const services = await ensureServices({ mode: 'up', dataDir, env: given, log: write })
  scope.defer(() => removeRunRecord(dataDir))
  scope.defer(() => services.stop())
  signals.stop.throwIfAborted()

  const keys = await openKeys(dataDir, given)
  const address = await chooseAddress(given)
  const storageUrl = given.COFFER_STORAGE_URL ?? pathToFileURL(makeFolder(dataDir, 'store')).href
  const env: NodeJS.ProcessEnv = {
    ...given,
    ...keys.env,
    HOST: address.host,
    PORT: String(address.port),
    COFFER_DATA_DIR: dataDir,
    COFFER_DATABASE_URL: services.databaseUrl,
    COFFER_REDIS_URL: services.redisUrl,
    COFFER_STORAGE_URL: storageUrl,
    COFFER_MEDIA_ROOTS: given.COFFER_MEDIA_ROOTS ?? makeFolder(dataDir, 'media'),
  }
  await migrate(services.databaseUrl, () => undefined)
  signals.stop.throwIfAborted()

  const surroundings: Surroundings = {
    cwd: CHECKOUT,
    write,
    record: (name, mark) =>
      updateRunRecord(dataDir, (run) => ({ ...run, processes: { ...run.processes, [name]: mark } })),
    forced: signals.force,
  }
  const workerRuns = workerPrograms(workers, env).map((program) => supervise(program, surroundings))
  scope.defer(() => Promise.all(workerRuns.map((run) => run.stop())).then(() => undefined))
  const producerRun = supervise(producerProgram(address.url, env), surroundings)
  scope.defer(() => producerRun.stop())

  const runs = [producerRun, ...workerRuns]
  const stopped = once(signals.stop, 'abort')
  await Promise.race([stopped, Promise.all(runs.map((run) => run.ready))])
  if (signals.stop.aborted) return
  updateRunRecord(dataDir, (record) => ({ ...record, url: address.url, tokenFile: keys.tokenFile ?? undefined }))
  write(welcome(address.url, storageUrl, keys))
  await Promise.race([stopped, ...runs.map((run) => run.givenUp)])
}

function workerPrograms(count: number, env: NodeJS.ProcessEnv): Program[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `worker-${index + 1}`,
    script: 'workers/main.ts',
    env,
    isReadyLine: (line) => line.includes('"msg":"worker ready"'),
  }))
}

function producerProgram(url: string, env: NodeJS.ProcessEnv): Program {
  return { name: 'producer', script: 'producer/main.ts', env, becomesReady: (signal) => answersHealth(url, signal) }
}

/** A killed `up` leaves its processes; they hold on to servers and ports that may be others now. */
async function endLeftovers(dataDir: string): Promise<void> {
  const { processes } = readRunRecord(dataDir)
  const ours = Object.entries(processes).filter(([name]) => name === 'producer' || name.startsWith('worker-'))
  await Promise.all(
    ours.map(([, mark]) =>
      endProcess(mark, [
        ['SIGTERM', 5_000],
        ['SIGKILL', 5_000],
      ]),
    ),
  )
  const servers = Object.entries(processes).filter((entry) => !ours.includes(entry))
  updateRunRecord(dataDir, () => ({ processes: Object.fromEntries(servers) }))
}

function makeFolder(dataDir: string, name: string): string {
  const folder = join(dataDir, name)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return folder
}

function alreadyRuns(dataDir: string): CofferError {
  const { url } = readRunRecord(dataDir)
  const where = url === undefined ? 'and is starting' : `at ${url}`
  const remedy = 'stop it first, or give this one a folder of its own in COFFER_DATA_DIR'
  return new CofferError('CONFIG_INVALID', `Coffer already runs in ${dataDir} ${where}: ${remedy}`)
}

function welcome(url: string, storageUrl: string, { tokenFile, files }: Keys): string {
  const lines = [
    '',
    `Coffer is ready: ${url}`,
    tokenFile === null ? 'The admin token is COFFER_ADMIN_TOKEN.' : `The admin token lies in ${tokenFile}`,
    `Backups go to ${storageUrl}`,
  ]
  if (storageUrl.startsWith('file:')) {
    lines.push('  That is one disk, with its keys beside it: when the disk is lost, so is every backup.')
    lines.push('  Set COFFER_STORAGE_URL to a store elsewhere, or copy that folder away regularly.')
  }
  if (files.length > 0) {
    lines.push('Nothing opens the backups without their keys. Copy these to another machine, now:')
    lines.push(`  scp ${files.map(quoted).join(' ')} <another machine>:`)
  }
  return [...lines, 'Ctrl-C stops everything.', ''].join('\n')
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`
}

function parseWorkers(args: string[]): number {
  try {
    const { values } = parseArgs({ args, options: { workers: { type: 'string', default: '2' } } })
    if (/^[1-9]\d?$/.test(values.workers)) return Number(values.workers)
    throw new Error(`--workers: ${values.workers} is not a number from 1 to 99`)
  } catch (error) {
    console.error(`${(error as Error).message}\nusage: ${USAGE}`)
    process.exit(2)
  }
}

const write = (text: string): void => console.log(text)
// The terminal may be gone before everything is stopped.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
const signals = listenForStop(write)
try {
  // A variable that is set to nothing is one that is not set.
  const given = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ''))
  await up(given, parseWorkers(process.argv.slice(2)), signals, write)
  write('stopped')
} catch (error) {
  if (!signals.stop.aborted) {
    console.error('up failed:', error instanceof CofferError ? error.message : error)
    process.exitCode = 1
  }
}
