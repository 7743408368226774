import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import { readBackup } from '../backup-report.ts'
import { confirmTarget } from '../confirm-target.ts'
import type { Context, Runner } from '../context.ts'
import { EXIT, exitCodeOfOutcome } from '../exit-codes.ts'
import { environmentNames, findEnvironment, parseTarget, pickServiceBackups, servicesOf } from '../names.ts'
import type { Result } from '../output.ts'
import { Restore } from '../resources/restores.ts'
import { pairUp, pickByChoice, type Choice } from '../restore-plan.ts'
import { followRestore, pathOfRestore, RESTORES, showRestore, targetNames } from '../restore-report.ts'
import { formatTime, table } from '../text.ts'
import { collect } from './collect.ts'
import { parseCount } from './parse-count.ts'
import { refuseOthersOptions } from './others-options.ts'
import { checkWait, withWait } from './wait-options.ts'
import type { WaitOptions } from './wait-options.ts'

interface RestoreOptions extends WaitOptions, Choice {
  service?: string[]
  to?: string
  notes?: string
  confirm?: string
  safetyBackup: boolean
}

export function addRestoreCommands(program: Command, run: Runner): void {
  const restore = withWait(program.command('restore'))
    .argument('<backup>')
    .description('give a backup back; what the target holds is backed up first')
    .option('--to <target>', 'app/env, or app/env:PREFIX for a single one')
    .option('--confirm <app/env>', 'the name of the target, instead of typing it')
    .option('--service <service>', 'only this one (PREFIX or TYPE:PREFIX); may be repeated', collect)
    .option('--table <schema.table>', 'only this table; may be repeated', collect)
    .option('--schema <schema>', 'only this schema; may be repeated', collect)
    .option('--path <path>', 'only this file or folder; may be repeated', collect)
    .option('--no-safety-backup', 'lose what the target holds (admins only)')
    .option('--notes <text>', 'why')
    .action(run(create))
  // `restore` has the options of waiting, too, and takes them even when they follow a verb.
  const waits = (
    verb: string,
    description: string,
    work: (context: Context, uuid: string, options: WaitOptions) => Promise<Result>,
  ) =>
    withWait(restore.command(`${verb} <restore>`))
      .description(description)
      .action(
        run(async (context, uuid: string, _options: WaitOptions, command: Command) => {
          const options = command.optsWithGlobals<WaitOptions>()
          checkWait(options)
          return work(context, uuid, options)
        }),
      )
  waits('show', 'show how a restore goes or went', shownOrFollowed)
  waits('cancel', 'stop what can still be stopped; the target stays as it was', async (context, uuid, options) => {
    await context.api.post(`${pathOfRestore(uuid)}cancel/`, {}, Restore)
    return shownOrFollowed(context, uuid, options)
  })
  waits('confirm', 'all is well: remove the old state that was kept', (...args) => settle('confirm', ...args))
  waits('undo', 'bring the old state back that was kept', (...args) => settle('undo', ...args))
  restore
    .command('list [environment]')
    .description('the newest first; of an environment: out of its backups, and into it')
    .option('--limit <count>', 'at most so many', parseCount, 50)
    .action(run(list))
  restore.hook('preAction', refuseOthersOptions)
}

async function create(context: Context, backup: string, options: RestoreOptions): Promise<Result> {
  checkWait(options)
  const { to } = options
  // A required option of `restore` would be required of `restore show`, too.
  if (to === undefined) throw new CofferError('USAGE_INVALID', "required option '--to <target>' not specified")
  const { api, output } = context
  const { services } = await readBackup(api, backup)
  const sources = pickByChoice(pickServiceBackups(services, options.service ?? [], `backup ${backup}`), options)
  const { environment, service } = parseTarget(to)
  const target = await findEnvironment(api, environment)
  const parts = pairUp(sources, await servicesOf(api, target.uuid), service, environment, options)
  const name = (await environmentNames(api, [target])).get(target.uuid) ?? environment
  const body = {
    backup,
    service_instance_restores: parts,
    confirm: await confirmTarget(context, name, options.confirm),
    ...(options.safetyBackup ? {} : { safety_backup: false }),
    ...(options.notes === undefined ? {} : { notes: options.notes }),
  }
  const { uuid } = await api.post(RESTORES, body, Restore)
  output.note(`restore ${uuid} into ${to} is queued`)
  return shownOrFollowed(context, uuid, options)
}

async function shownOrFollowed(context: Context, uuid: string, options: WaitOptions): Promise<Result> {
  if (options.wait !== true) return showRestore(context.api, uuid)
  const { restore, result } = await followRestore(context, uuid, options.timeout)
  return { ...result, exit: exitCodeOfOutcome(restore.success) }
}

async function settle(
  action: 'confirm' | 'undo',
  context: Context,
  uuid: string,
  options: WaitOptions,
): Promise<Result> {
  const asked = await context.api.post(`${pathOfRestore(uuid)}${action}/`, {}, Restore)
  if (options.wait !== true) return showRestore(context.api, uuid)
  const chosen = asked.service_instance_restores.filter((part) => part.action_state !== 'COMPLETED')
  const { restore, result } = await followRestore(context, uuid, options.timeout)
  const isDone = chosen.every(({ uuid: id }) => {
    const part = restore.service_instance_restores.find((one) => one.uuid === id)
    return Boolean(action === 'confirm' ? part?.confirmed_at : part?.undone_at)
  })
  return { ...result, exit: isDone ? EXIT.done : EXIT.failed }
}

async function list({ api }: Context, name: string | undefined, { limit }: { limit: number }): Promise<Result> {
  const query = name === undefined ? {} : { environment: (await findEnvironment(api, name)).uuid }
  const restores = await api.list(RESTORES, query, Restore, limit)
  const names = await targetNames(api, ...restores)
  const rows = restores.map((restore) => [
    formatTime(restore.created_at),
    restore.success ?? 'not finished',
    restore.service_instance_restores.map((part) => names.get(part.service_instance) ?? 'deleted').join(', '),
    restore.backup,
    restore.uuid,
    restore.notes,
  ])
  return { document: restores, lines: table(['CREATED', 'RESULT', 'INTO', 'BACKUP', 'UUID', 'NOTES'], rows) }
}
