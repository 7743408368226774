import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { migrate } from '../shared/catalog/migrate.ts'
import { CofferError } from '../shared/errors.ts'
import { ensureServices, type Services } from './services/ensure-services.ts'
import { openDataFolder } from './services/folders.ts'
import { endProcess, type ProcessMark } from './services/processes.ts'
import { readRunRecord, removeRunRecord, updateRunRecord } from './services/run-record.ts'
import { untilHealthy } from './up/address.ts'
import { holdFolder } from './up/exclusive.ts'
import { keepServers } from './up/keep-servers.ts'
import { openKeys, type Keys } from './up/keys.ts'
import { startPrograms, type Programs } from './up/programs.ts'
import { listenForStop, type StopSignals } from './up/signals.ts'

const USAGE = 'npm run up [-- [--workers <number>] [--new-key]]'
const CHECKOUT = join(import.meta.dirname, '..')

type Given = Readonly<Record<string, string | undefined>>
type Environment = NodeJS.ProcessEnv & { COFFER_STORAGE_URL: string }
interface Options {
  workerCount: number
  /** Backups from now on are written for a new key; the old ones stay in the file. */
  addsIdentity: boolean
}
type Write = (line: string) => void

/** Everything on one machine, until a signal: servers, schema, producer, workers. Stops them in the opposite order. */
async function up(
  given: Given,
  { workerCount, addsIdentity }: Options,
  signals: StopSignals,
  write: Write,
): Promise<void> {
  const stopped = once(signals.stop, 'abort')
  const dataDir = openDataFolder(resolve(given.COFFER_DATA_DIR ?? join(CHECKOUT, '.coffer')))
  await using scope = new AsyncDisposableStack()
  const release = holdFolder(dataDir)
  if (release === null) throw alreadyRuns(dataDir)
  scope.defer(release)
  await endLeftovers(dataDir)

  const services = await ensureServices({ mode: 'up', dataDir, env: given, log: write })
  scope.defer(() => removeRunRecord(dataDir))
  scope.defer(() => services.stop())
  const keeper = keepServers(() => services.revive())
  scope.defer(() => keeper.stop())
  const keys = await openKeys(dataDir, given, addsIdentity)
  const env = environmentOf(given, dataDir, services, keys)
  await migrate(services.databaseUrl, () => undefined)
  signals.stop.throwIfAborted()

  const record = (name: string, mark: ProcessMark): void =>
    updateRunRecord(dataDir, (run) => ({ ...run, processes: { ...run.processes, [name]: mark } }))
  const surroundings = { cwd: CHECKOUT, write, record, forced: signals.force }
  const programs = await startPrograms(given, env, workerCount, surroundings)
  scope.defer(() => programs.stop())
  await Promise.race([stopped, keeper.givenUp, announce(programs, dataDir, env, keys, signals, write)])
  await Promise.race([stopped, keeper.givenUp, programs.givenUp])
}

async function announce(
  programs: Programs,
  dataDir: string,
  env: Environment,
  keys: Keys,
  signals: StopSignals,
  write: Write,
): Promise<void> {
  const { url } = await programs.ready
  await untilHealthy(url, signals.stop)
  if (signals.stop.aborted) return
  updateRunRecord(dataDir, (run) => ({ ...run, url }))
  write(welcome(url, env.COFFER_STORAGE_URL, keys))
}

/** What producer and workers get: everything that was given, and the rest from the data folder. */
function environmentOf(given: Given, dataDir: string, services: Services, keys: Keys): Environment {
  return {
    ...given,
    ...keys.env,
    // A program is known to be ready by a line of level info.
    COFFER_LOG_LEVEL: given.COFFER_LOG_LEVEL?.replace(/^(warn|error)$/, 'info'),
    COFFER_DATA_DIR: dataDir,
    COFFER_DATABASE_URL: services.databaseUrl,
    COFFER_REDIS_URL: services.redisUrl,
    COFFER_DRILL_DATABASE_URL: given.COFFER_DRILL_DATABASE_URL ?? services.drillUrl,
    COFFER_STORAGE_URL: given.COFFER_STORAGE_URL ?? pathToFileURL(makeFolder(dataDir, 'store')).href,
    COFFER_MEDIA_ROOTS: given.COFFER_MEDIA_ROOTS ?? makeFolder(dataDir, 'media'),
  }
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

function parseOptions(args: string[]): Options {
  try {
    const { values } = parseArgs({
      args,
      options: { workers: { type: 'string', default: '2' }, 'new-key': { type: 'boolean', default: false } },
    })
    if (/^[1-9]\d?$/.test(values.workers))
      return { workerCount: Number(values.workers), addsIdentity: values['new-key'] }
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
  await up(given, parseOptions(process.argv.slice(2)), signals, write)
  write('stopped')
} catch (error) {
  if (!signals.stop.aborted) {
    console.error('up failed:', error instanceof CofferError ? error.message : error)
    process.exitCode = 1
  }
}
