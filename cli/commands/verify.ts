import { Option, type Command } from 'commander'
import { VERIFICATION_LEVELS, type VerificationLevel } from '../../shared/domain/verification.ts'
import type { Context, Runner } from '../context.ts'
import { findEnvironment } from '../names.ts'
import type { Result } from '../output.ts'
import { Verification } from '../resources/restores.ts'
import { formatTime, table } from '../text.ts'
import { nameOf, startVerifications, verificationLines, VERIFICATIONS } from '../verifications.ts'
import { withWait, type WaitOptions } from './wait-options.ts'

interface VerifyOptions extends WaitOptions {
  level: VerificationLevel
}

export function addVerifyCommands(program: Command, run: Runner): void {
  const verify = withWait(program.command('verify'))
    .argument('<backup>')
    .description('prove that a backup is what was sealed')
    .addOption(new Option('--level <level>', 'how deep').choices(VERIFICATION_LEVELS).default('checksum'))
    .action(
      run((context, backup: string, { level, ...wait }: VerifyOptions) =>
        startVerifications(context, { backup, level }, wait),
      ),
    )
  verify.command('list <environment>').description('list what was verified, newest first').action(run(list))
  verify
    .command('show <verification>')
    .description('show one with its report')
    .action(
      run(async ({ api }, uuid: string) => {
        const found = await api.get(`${VERIFICATIONS}${encodeURIComponent(uuid)}/`, Verification)
        return { document: found, lines: verificationLines(found) }
      }),
    )
}

const LISTED = 50

async function list({ api }: Context, name: string): Promise<Result> {
  const { uuid: environment } = await findEnvironment(api, name)
  const found = await api.list(VERIFICATIONS, { environment }, Verification, LISTED)
  const rows = found.map((one) => [
    formatTime(one.ended_at ?? one.queued_at),
    one.level,
    one.outcome ?? one.state.toLowerCase(),
    nameOf(one),
    one.backup ?? '-',
    one.uuid,
  ])
  return { document: found, lines: table(['WHEN', 'LEVEL', 'RESULT', 'OF', 'BACKUP', 'VERIFICATION'], rows) }
}
