import type { Command } from 'commander'
import type { Runner } from '../context.ts'
import { ENVIRONMENTS, findEnvironment } from '../names.ts'
import { Latest } from '../resources/backups.ts'
import { formatBytes, formatTime, table } from '../text.ts'

export function addLatestCommand(program: Command, run: Runner): void {
  program
    .command('latest <app/env>')
    .description('the newest good backup of an environment, and of each of its service instances')
    .action(
      run(async ({ api }, name: string) => {
        const { uuid } = await findEnvironment(api, name)
        const latest = await api.get(`${ENVIRONMENTS}${uuid}/latest/`, Latest)
        const rows = latest.service_instances.map((one) => [
          `${one.service_type}:${one.prefix}`,
          formatTime(one.at),
          one.size === null ? '-' : formatBytes(one.size),
          one.backup ?? 'none',
        ])
        return {
          document: latest,
          lines: [
            latest.backup ?? 'no backup is good for all of its service instances',
            ...table(['SERVICE', 'TIME', 'SIZE', 'BACKUP'], rows),
          ],
        }
      }),
    )
}
