import type { Command } from 'commander'
import type { Runner } from '../context.ts'
import { findToken } from '../names.ts'
import { AuditLine } from '../resources/access.ts'
import { formatTime, table } from '../text.ts'
import { parseCount } from './parse-count.ts'

interface AuditOptions {
  actor?: string
  action?: string
  target?: string
  since?: string
  until?: string
  limit: number
}

export function addAuditCommand(program: Command, run: Runner): void {
  program
    .command('audit')
    .description('who did what, newest first')
    .option('--actor <token>', 'only with this token, by its name or uuid')
    .option('--action <text>', 'only what has this in its method and path, such as restores or DELETE')
    .option('--target <uuid>', 'only about this')
    .option('--since <time>', 'such as 2030-01-31T12:00:00Z')
    .option('--until <time>')
    .option('--limit <count>', 'at most so many', parseCount, 50)
    .action(
      run(async ({ api }, { actor, limit, ...filters }: AuditOptions) => {
        const query = { ...filters, ...(actor === undefined ? {} : { actor: (await findToken(api, actor)).uuid }) }
        const lines = await api.list('/apps/v3/audit/', query, AuditLine, limit)
        const rows = lines.map((line) => [
          formatTime(line.at),
          line.token_name ?? '-',
          line.address,
          line.action,
          line.status === null ? 'begins' : [line.status, line.code].filter((part) => part !== null).join(' '),
          line.targets.join(' '),
        ])
        return { document: lines, lines: table(['TIME', 'TOKEN', 'FROM', 'WHAT', 'OUTCOME', 'ABOUT'], rows) }
      }),
    )
}
