import type { Command } from 'commander'
import { followBackup, readBackup, reported } from '../backup-report.ts'
import type { Context, Runner } from '../context.ts'
import { BACKUPS, ENVIRONMENTS, environmentNames, findEnvironment, pickService, servicesOf } from '../names.ts'
import type { Result } from '../output.ts'
import { Backup } from '../resources/backups.ts'
import { Environment } from '../resources/environments.ts'
import { formatBytes, formatTime, table } from '../text.ts'
import { collect } from './collect.ts'
import { addDownloadCommand } from './download.ts'
import { addKeepingCommands } from './keeping.ts'
import { parseCount } from './parse-count.ts'
import { checkWait, withWait } from './wait-options.ts'
import type { WaitOptions } from './wait-options.ts'

interface CreateOptions extends WaitOptions {
  service?: string[]
  notes?: string
}

export function addBackupCommands(program: Command, run: Runner): void {
  const backup = program.command('backup').description('take, look at, keep and delete backups')
  withWait(backup.command('create <app/env>'))
    .description('take a backup of an environment now')
    .option('--service <service>', 'only this one (PREFIX or TYPE:PREFIX); may be repeated', collect)
    .option('--notes <text>', 'why it was taken')
    .action(run(create))
  backup
    .command('list [app/env]')
    .description('list backups, newest first')
    .option('--limit <count>', 'at most so many', parseCount, 50)
    .action(run(list))
  withWait(backup.command('show <backup>'))
    .description('show one with its service-instance backups')
    .action(run(async (context, uuid: string, options: WaitOptions) => shownOrFollowed(context, uuid, options)))
  withWait(backup.command('retry <backup>'))
    .description('run the failed parts again')
    .action(
      run(async (context, uuid: string, options: WaitOptions) => {
        checkWait(options)
        await context.api.post(`${BACKUPS}${encodeURIComponent(uuid)}/retry/`, {}, Backup)
        return shownOrFollowed(context, uuid, options)
      }),
    )
  backup
    .command('cancel <backup>')
    .description('stop what still runs; what is finished stays')
    .action(
      run(async (context, uuid: string) => {
        await context.api.post(`${BACKUPS}${encodeURIComponent(uuid)}/cancel/`, {}, Backup)
        return reported(await readBackup(context.api, uuid))
      }),
    )
  addKeepingCommands(backup, run)
  addDownloadCommand(backup, run)
}

async function create(context: Context, name: string, options: CreateOptions): Promise<Result> {
  checkWait(options)
  const { api, output } = context
  const { uuid: environment } = await findEnvironment(api, name)
  const names = options.service ?? []
  const known = names.length > 0 ? await servicesOf(api, environment) : []
  const services = [...new Set(names.map((service) => pickService(known, service, name).uuid))]
  const body = {
    environment,
    trigger: 'MANUAL',
    ...(services.length > 0 ? { services } : {}),
    ...(options.notes === undefined ? {} : { notes: options.notes }),
  }
  const { uuid } = await api.post(BACKUPS, body, Backup)
  output.note(`backup ${uuid} of ${name} is queued`)
  return shownOrFollowed(context, uuid, options)
}

async function list({ api }: Context, name: string | undefined, { limit }: { limit: number }): Promise<Result> {
  const query = name === undefined ? {} : { environment: (await findEnvironment(api, name)).uuid }
  const backups = await api.list(BACKUPS, query, Backup, limit)
  const names = await environmentNames(api, await api.list(ENVIRONMENTS, {}, Environment))
  const rows = backups.map((backup) => [
    formatTime(backup.created_at),
    names.get(backup.environment) ?? 'deleted',
    backup.success ?? backup.state,
    typeof backup.size === 'number' ? formatBytes(backup.size) : '-',
    backup.uuid,
    backup.notes,
  ])
  return { document: backups, lines: table(['CREATED', 'ENVIRONMENT', 'RESULT', 'SIZE', 'UUID', 'NOTES'], rows) }
}

async function shownOrFollowed(context: Context, uuid: string, options: WaitOptions): Promise<Result> {
  checkWait(options)
  if (options.wait !== true) return reported(await readBackup(context.api, uuid))
  return followBackup(context, uuid, options.timeout)
}
