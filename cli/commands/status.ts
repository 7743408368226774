import type { Command } from 'commander'
import type { Runner } from '../context.ts'
import { Identity, Status } from '../resources/environments.ts'
import { fields, formatCount, formatTime, table } from '../text.ts'

export function addStatusCommand(program: Command, run: Runner): void {
  program
    .command('status')
    .alias('whoami')
    .description('which producer is used, who it takes you for, who is overdue and what needs attention')
    .action(
      run(async ({ api }) => {
        const { url, urlFrom, tokenFrom } = api.address
        const me = await api.get('/iam/v3/me/', Identity)
        const status = await api.get('/apps/v3/status/', Status)
        return {
          document: { producer: url.href, producer_from: urlFrom, token_from: tokenFrom, me, ...status },
          lines: [
            ...fields({
              producer: `${url.href} (from ${urlFrom})`,
              token: `accepted (from ${tokenFrom})`,
              'signed in as': [me.first_name, me.last_name, me.email].filter(Boolean).join(' '),
              role: me.role ?? '-',
            }),
            ...overdueLines(status),
            ...alertLines(status),
            ...queueLines(status),
          ],
        }
      }),
    )
}

function overdueLines({ overdue: { count, results } }: Status): string[] {
  if (count === 0) return ['no environment is overdue']
  const rows = results.map(({ application, slug, expected_by: since, last_good_at: last }) => [
    `${application}/${slug}`,
    formatTime(since),
    last === null ? 'never' : formatTime(last),
  ])
  return [`${formatCount(count, 'environment')} overdue:`, ...table(['ENVIRONMENT', 'SINCE', 'LAST GOOD BACKUP'], rows)]
}

function alertLines({ alerts: { count, results } }: Status): string[] {
  if (count === 0) return ['no open alerts']
  const rows = results.map(({ kind, raised_at: since, message }) => [kind, formatTime(since), message])
  return [`${formatCount(count, 'open alert')}:`, ...table(['ALERT', 'SINCE', 'WHAT'], rows)]
}

function queueLines({ queues }: Status): string[] {
  if (queues === null) return ['the queues do not answer']
  const rows = Object.entries(queues).map(([name, { waiting = 0, active = 0, delayed = 0, failed = 0 }]) =>
    [name, waiting + delayed, active, failed].map(String),
  )
  return table(['QUEUE', 'WAITING', 'RUNNING', 'FAILED'], rows)
}
