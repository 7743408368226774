import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import { readBackup, reported } from '../backup-report.ts'
import type { Context, Runner } from '../context.ts'
import { BACKUPS } from '../names.ts'
import type { Result } from '../output.ts'
import { Backup } from '../resources/backups.ts'
import { formatTime } from '../text.ts'

const pathOf = (uuid: string) => `${BACKUPS}${encodeURIComponent(uuid)}/`

interface Changes {
  notes?: string
  deleteAt?: string
}

/** What a person decides about a backup, whatever the policy says. */
export function addKeepingCommands(backup: Command, run: Runner): void {
  backup
    .command('hold <backup>')
    .description('keep it, whatever the policy or its date says')
    .requiredOption('--reason <text>', 'why')
    .action(
      run(async (context, uuid: string, { reason }: { reason: string }) => act(context, uuid, 'hold', { reason })),
    )
  backup
    .command('release <backup>')
    .description('end its hold')
    .action(run(async (context, uuid: string) => act(context, uuid, 'release', {})))
  backup
    .command('acknowledge <backup>')
    .description('accept its size: it is no longer suspect')
    .action(run(async (context, uuid: string) => act(context, uuid, 'acknowledge', {})))
  backup
    .command('update <backup>')
    .description('change its notes, or give it a date to be deleted at')
    .option('--notes <text>')
    .option('--delete-at <time>', 'such as 2030-01-31T12:00:00Z; "never" takes the date away')
    .action(run(update))
  backup
    .command('delete <backup>')
    .description('delete it; for a day this can be undone')
    .requiredOption('--reason <text>', 'why')
    .option('--force', 'also the newest good one of a service instance')
    .action(run(remove))
  backup
    .command('undelete <backup>')
    .description('keep it after all')
    .action(run(async (context, uuid: string) => act(context, uuid, 'undelete', {})))
}

async function act({ api }: Context, uuid: string, verb: string, body: unknown): Promise<Result> {
  await api.post(`${pathOf(uuid)}${verb}/`, body, Backup)
  return reported(await readBackup(api, uuid))
}

async function update({ api }: Context, uuid: string, { notes, deleteAt }: Changes): Promise<Result> {
  const changes = {
    ...(notes === undefined ? {} : { notes }),
    ...(deleteAt === undefined ? {} : { scheduled_for_deletion_at: deleteAt === 'never' ? null : deleteAt }),
  }
  if (Object.keys(changes).length === 0)
    throw new CofferError('USAGE_INVALID', 'nothing to change: give --notes or --delete-at')
  await api.patch(pathOf(uuid), changes, Backup)
  return reported(await readBackup(api, uuid))
}

async function remove(
  { api, output }: Context,
  uuid: string,
  { reason, force = false }: { reason: string; force?: boolean },
): Promise<Result> {
  const deleted = await api.post(`${pathOf(uuid)}delete/`, { reason, force }, Backup)
  output.note(`it goes after ${formatTime(deleted.delete_after)}; until then: coffer backup undelete ${uuid}`)
  return reported(await readBackup(api, uuid))
}
