import type { Command } from 'commander'
import type { Runner } from '../context.ts'
import { findEnvironment, isUuid } from '../names.ts'
import { startVerifications } from '../verifications.ts'
import { withWait, type WaitOptions } from './wait-options.ts'

export function addDrillCommand(program: Command, run: Runner): void {
  withWait(program.command('drill'))
    .argument('<environment or backup>', 'app/env: the newest good backup of each service; or the uuid of a backup')
    .description('restore into a throw-away database or folder, and compare')
    .action(
      run(async (context, name: string, options: WaitOptions) => {
        const target = isUuid(name)
          ? { backup: name }
          : { environment: (await findEnvironment(context.api, name)).uuid }
        return startVerifications(context, { ...target, level: 'drill' }, options)
      }),
    )
}
