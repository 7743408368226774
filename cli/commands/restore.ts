import type { Command } from 'commander'
import type { Api } from '../api.ts'
import { progressParts } from '../backup-progress.ts'
import { errorLines, readBackup } from '../backup-report.ts'
import type { Context, Runner } from '../context.ts'
import { CofferError } from '../../shared/errors.ts'
import { exitCodeOfOutcome } from '../exit-codes.ts'
import {
  ENVIRONMENTS,
  environmentNames,
  findEnvironment,
  parseTarget,
  pickService,
  pickServiceBackups,
  SERVICES,
  servicesOf,
} from '../names.ts'
import type { Result } from '../output.ts'
import { openProgress } from '../progress.ts'
import type { ProgressRow } from '../progress.ts'
import { Rates } from '../rate.ts'
import { Environment, Restore, ServiceInstance } from '../resources.ts'
import type { ServiceInstanceBackup, ServiceInstanceRestore } from '../resources.ts'
import { fields } from '../text.ts'
import { deadline, waitUntil } from '../waiting.ts'
import { collect } from './collect.ts'
import { checkWait, withWait } from './wait-options.ts'
import type { WaitOptions } from './wait-options.ts'

const RESTORES = '/apps/v3/backup-restores/'

interface RestoreOptions extends WaitOptions {
  service?: string[]
  to?: string
  notes?: string
}

export function addRestoreCommands(program: Command, run: Runner): void {
  const restore = withWait(program.command('restore'))
    .argument('<backup>')
    .description('give a backup back, into an empty database and an empty folder')
    .option('--service <service>', 'only this one (PREFIX or TYPE:PREFIX); may be repeated', collect)
    .option('--to <target>', 'app/env, or app/env:PREFIX for a single one')
    .option('--notes <text>', 'why')
    .action(run(create))
  withWait(restore.command('show <restore>'))
    .description('show how a restore goes or went')
    .action(
      run(async (context, uuid: string, _options: WaitOptions, command: Command) =>
        // `restore` has these options, too, and takes them even when they follow `show`.
        shownOrFollowed(context, uuid, command.optsWithGlobals<WaitOptions>()),
      ),
    )
}

async function create(context: Context, backup: string, options: RestoreOptions): Promise<Result> {
  checkWait(options)
  const { to } = options
  // A required option of `restore` would be required of `restore show`, too.
  if (to === undefined) throw new CofferError('USAGE_INVALID', "required option '--to <target>' not specified")
  const { api, output } = context
  const { services } = await readBackup(api, backup)
  const sources = pickServiceBackups(services, options.service ?? [], `backup ${backup}`)
  const { environment, service } = parseTarget(to)
  const targets = await servicesOf(api, (await findEnvironment(api, environment)).uuid)
  const body = {
    backup,
    service_instance_restores: pairUp(sources, targets, service, environment),
    ...(options.notes === undefined ? {} : { notes: options.notes }),
  }
  const { uuid } = await api.post(RESTORES, body, Restore)
  output.note(`restore ${uuid} into ${to} is queued`)
  return shownOrFollowed(context, uuid, options)
}

/** Each source with the target of its type: of the same prefix, or of the one that was named. */
export function pairUp(
  sources: readonly ServiceInstanceBackup[],
  targets: readonly ServiceInstance[],
  named: string | null,
  where: string,
): { service_instance_backup: string; service_instance: string }[] {
  const pairs = sources.map((source) => {
    const name = named === null || !named.includes(':') ? `${source.service_type}:${named ?? source.prefix}` : named
    const target = pickService(targets, name, where)
    if (target.type !== source.service_type) {
      throw new CofferError(
        'USAGE_INVALID',
        `${source.service_type} ${source.prefix} cannot be restored into ${target.type} ${target.prefix}`,
      )
    }
    return { service_instance_backup: source.uuid, service_instance: target.uuid }
  })
  const places = pairs.map((pair) => pair.service_instance)
  if (new Set(places).size < places.length) {
    throw new CofferError(
      'USAGE_INVALID',
      `several would be restored into the same place in ${where}: choose one with --service`,
    )
  }
  return pairs
}

async function shownOrFollowed(context: Context, uuid: string, options: WaitOptions): Promise<Result> {
  checkWait(options)
  using limit = deadline(options.timeout, `restore ${uuid}`, { restore: uuid })
  const api = context.api.until(limit.signal)
  const ask = () => api.get(`${RESTORES}${encodeURIComponent(uuid)}/`, Restore)
  const restore = await ask()
  const names = await targetNames(api, restore)
  if (options.wait !== true) return reported(restore, names)
  const rates = new Rates()
  using display = openProgress(context.output, context.now)
  const ended = await waitUntil(
    ask,
    ({ finished }) => finished,
    ({ service_instance_restores: parts }) => display.show(parts.map((part) => rowOf(part, names, rates))),
    { ...context, signal: api.signal },
  )
  return { ...reported(ended, names), exit: exitCodeOfOutcome(ended.success) }
}

type Names = ReadonlyMap<string, string>

/** `DATABASE DEFAULT of shop/test` by the uuid of each target that still is registered. */
async function targetNames(api: Api, { service_instance_restores: parts }: Restore): Promise<Names> {
  const environments = await environmentNames(api, await api.list(ENVIRONMENTS, {}, Environment))
  const services = await api.list(SERVICES, {}, ServiceInstance)
  const targets = new Set(parts.map((part) => part.service_instance))
  return new Map(
    services
      .filter(({ uuid }) => targets.has(uuid))
      .map(({ uuid, type, prefix, environment }) => [
        uuid,
        `${type} ${prefix} of ${environments.get(environment) ?? environment}`,
      ]),
  )
}

const nameOf = ({ service_instance: target }: ServiceInstanceRestore, names: Names) => names.get(target) ?? target

function rowOf(part: ServiceInstanceRestore, names: Names, rates: Rates): ProgressRow {
  const rate = rates.of(part)
  const how = part.progress ? progressParts(part.progress, rate) : [(part.success ?? part.state).toLowerCase()]
  return { key: part.uuid, state: part.state, line: [nameOf(part, names), ...how].join('  ') }
}

function reported(restore: Restore, names: Names): Result {
  const { uuid, success, finished, service_instance_restores: parts } = restore
  return {
    document: restore,
    lines: [
      ...fields({ restore: uuid, result: success ?? (finished ? 'finished' : 'not finished') }),
      ...parts.flatMap((part) => [
        `${nameOf(part, names)}: ${(part.success ?? part.state).toLowerCase()}`,
        ...reportLines(part.report),
        ...part.errors.flatMap(errorLines),
      ]),
    ],
  }
}

/** What was counted and compared, name by name. */
function reportLines(report: unknown): string[] {
  if (typeof report !== 'object' || report === null) return []
  return Object.entries(report).map(
    ([name, value]) => `  ${name}: ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
  )
}
