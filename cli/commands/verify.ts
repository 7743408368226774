import { Option, type Command } from 'commander'
import { VERIFICATION_LEVELS, type VerificationLevel } from '../../shared/domain/verification.ts'
import type { Context, Runner } from '../context.ts'
import { findEnvironment } from '../names.ts'
import type { Result } from '../output.ts'
import { Verification } from '../resources/restores.ts'
import { formatTime, table } from '../text.ts'
import { followVerifications, nameOf, startVerifications, verificationLines, VERIFICATIONS } from '../verifications.ts'
import { refuseOthersOptions } from './others-options.ts'
import { checkWait, withWait, type WaitOptions } from './wait-options.ts'

interface VerifyOptions extends WaitOptions {
  level: VerificationLevel
}

const level = () => new Option('--level <level>', 'how deep').choices(VERIFICATION_LEVELS)

export function addVerifyCommands(program: Command, run: Runner): void {
  const verify = withWait(program.command('verify'))
    .argument('<backup>')
    .description('prove that a backup is what was sealed')
    .addOption(level().default('checksum'))
    .hook('preAction', refuseOthersOptions)
    .action(
      run((context, backup: string, { level, ...wait }: VerifyOptions) =>
        startVerifications(context, { backup, level }, wait),
      ),
    )
  verify
    .command('list <environment>')
    .description('list what was verified, newest first; with --level of that level only')
    .addOption(level())
    .action(
      run((context, environment: string, _options: object, command: Command) => {
        const isGiven = verify.getOptionValueSource('level') === 'cli'
        return list(context, environment, isGiven ? command.optsWithGlobals<VerifyOptions>().level : undefined)
      }),
    )
  withWait(verify.command('show <verification>'))
    .description('show one with its report')
    .action(
      // `verify` has these options, too, and takes them even when they follow a verb.
      run((context, uuid: string, _options: WaitOptions, command: Command) =>
        show(context, uuid, command.optsWithGlobals<WaitOptions>()),
      ),
    )
}

async function show(context: Context, uuid: string, options: WaitOptions): Promise<Result> {
  checkWait(options)
  const found = await context.api.get(`${VERIFICATIONS}${encodeURIComponent(uuid)}/`, Verification)
  if (options.wait !== true) return { document: found, lines: verificationLines(found) }
  const { document, ...rest } = await followVerifications(context, [found], options)
  return { document: document[0], ...rest }
}

const LISTED = 50

async function list({ api }: Context, name: string, level?: VerificationLevel): Promise<Result> {
  const { uuid: environment } = await findEnvironment(api, name)
  const found = await api.list(VERIFICATIONS, { environment, ...(level && { level }) }, Verification, LISTED)
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
