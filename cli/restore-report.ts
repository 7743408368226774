import type { Api } from './api.ts'
import { progressParts } from './backup-progress.ts'
import { errorLines } from './backup-report.ts'
import type { Context } from './context.ts'
import { ENVIRONMENTS, environmentNames, SERVICES } from './names.ts'
import type { Result } from './output.ts'
import { openProgress, type ProgressRow } from './progress.ts'
import { Rates } from './rate.ts'
import { Environment, ServiceInstance } from './resources/environments.ts'
import { Restore, type ServiceInstanceRestore } from './resources/restores.ts'
import { fields, formatTime } from './text.ts'
import { deadline, waitUntil } from './waiting.ts'

export const RESTORES = '/apps/v3/backup-restores/'

export const pathOfRestore = (uuid: string) => `${RESTORES}${encodeURIComponent(uuid)}/`

/** Whether nothing of it is under way: neither the restore, nor its confirmation or undoing. */
const isQuiet = ({ finished, service_instance_restores: parts }: Restore) =>
  finished && parts.every((part) => part.action_state === 'COMPLETED')

/** Waits until nothing of it is under way any more, showing how it goes. */
export async function followRestore(
  context: Context,
  uuid: string,
  timeoutMs: number | undefined,
): Promise<{ restore: Restore; result: Result }> {
  using limit = deadline(timeoutMs, `restore ${uuid}`, { restore: uuid })
  const api = context.api.until(limit.signal)
  const ask = () => api.get(pathOfRestore(uuid), Restore)
  const names = await targetNames(api, await ask())
  const rates = new Rates()
  using display = openProgress(context.output, context.now)
  const restore = await waitUntil(
    ask,
    isQuiet,
    ({ service_instance_restores: parts }) => display.show(parts.map((part) => rowOf(part, names, rates))),
    { ...context, signal: api.signal },
  )
  return { restore, result: reported(restore, names) }
}

export async function showRestore(api: Api, uuid: string): Promise<Result> {
  const restore = await api.get(pathOfRestore(uuid), Restore)
  return reported(restore, await targetNames(api, restore))
}

type Names = ReadonlyMap<string, string>

/** `DATABASE DEFAULT of shop/test` by the uuid of each target that still is registered. */
export async function targetNames(api: Api, ...restores: readonly Restore[]): Promise<Names> {
  const environments = await environmentNames(api, await api.list(ENVIRONMENTS, {}, Environment))
  const services = await api.list(SERVICES, {}, ServiceInstance)
  const targets = new Set(restores.flatMap((one) => one.service_instance_restores.map((part) => part.service_instance)))
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
  const { progress, state, action, action_state: actionState } = part
  const step = progress?.step ?? ''
  const how = progress ? [...(step === '' ? [] : [step]), ...progressParts(progress, rate)] : [outcomeOf(part)]
  return {
    key: part.uuid,
    state: [state, action, actionState, step].join(' '),
    line: [nameOf(part, names), ...how].join('  '),
  }
}

/** `success`, and what became of the old state since. */
function outcomeOf(part: ServiceInstanceRestore): string {
  const outcome = (part.success ?? part.state).toLowerCase()
  if (part.action_state !== 'COMPLETED' && part.action !== 'restore') return `${outcome}, to be ${DONE[part.action]}`
  if (part.undone_at) return `${outcome}, undone ${formatTime(part.undone_at)}`
  return part.confirmed_at ? `${outcome}, confirmed ${formatTime(part.confirmed_at)}` : outcome
}

const DONE = { confirm: 'confirmed', undo: 'undone' }

function reported(restore: Restore, names: Names): Result {
  const { uuid, success, finished, backup, service_instance_restores: parts } = restore
  const isKept = parts.some((part) => part.kept_until_confirmed)
  return {
    document: restore,
    lines: [
      ...fields({ restore: uuid, backup, result: success ?? (finished ? 'finished' : 'not finished') }),
      ...parts.flatMap((part) => [
        `${nameOf(part, names)}: ${outcomeOf(part)}`,
        ...(part.report === null && part.safety_backup ? [`  safety_backup: ${part.safety_backup}`] : []),
        ...reportLines(part.report),
        ...(part.success === 'SUCCESS' && part.action === 'restore' ? [] : part.errors.flatMap(errorLines)),
      ]),
      ...(isKept
        ? [
            `the old state is kept: when all is well, "coffer restore confirm ${uuid}" removes it; "coffer restore undo ${uuid}" brings it back`,
          ]
        : []),
    ],
  }
}

/** What was counted and compared, name by name. */
function reportLines(report: unknown): string[] {
  if (typeof report !== 'object' || report === null) return []
  return Object.entries(report).map(([name, value]) => `  ${name}: ${valueText(value)}`)
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map((one) => `\n    ${itemText(one)}`).join('')
  if (typeof value !== 'object' || value === null) return itemText(value)
  return Object.entries(value)
    .map(([name, one]) => `${name} ${itemText(one)}`)
    .join(', ')
}

const itemText = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
