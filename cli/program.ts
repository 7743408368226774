import type { Readable } from 'node:stream'
import { Command, CommanderError } from 'commander'
import { CofferError } from '../shared/errors.ts'
import { findProducer } from './address.ts'
import type { Surroundings } from './address.ts'
import { Api } from './api.ts'
import { addAppCommands } from './commands/app.ts'
import { addApplyCommand } from './commands/apply.ts'
import { addAuditCommand } from './commands/audit.ts'
import { addBackupCommands } from './commands/backup.ts'
import { addCatalogCommands } from './commands/catalog.ts'
import { addDownloadCommand } from './commands/download.ts'
import { addDrillCommand } from './commands/drill.ts'
import { addEnvironmentCommands } from './commands/environment.ts'
import { addKeysCommands } from './commands/keys.ts'
import { addLatestCommand } from './commands/latest.ts'
import { addLoginCommands } from './commands/login.ts'
import { addOrganisationCommands } from './commands/organisation.ts'
import { addEventCommands, addNotificationCommands } from './commands/notification.ts'
import { addPlanCommands } from './commands/plan.ts'
import { addRestoreCommands } from './commands/restore.ts'
import { addRetentionCommands } from './commands/retention.ts'
import { addServiceCommands } from './commands/service.ts'
import { addStatusCommand } from './commands/status.ts'
import { addTokenCommands } from './commands/token.ts'
import { addUploadCommand } from './commands/upload.ts'
import { addVerifyCommands } from './commands/verify.ts'
import type { Context, Runner } from './context.ts'
import { EXIT, exitCodeOfProblem } from './exit-codes.ts'
import type { ExitCode } from './exit-codes.ts'
import { createOutput } from './output.ts'
import type { Output } from './output.ts'
import { toProblem } from './problem.ts'
import { PATIENCE } from './waiting.ts'

export interface World {
  surroundings: Surroundings
  stdin: Readable & { isTTY?: boolean }
  stdout: Output['stdout']
  stderr: Output['stderr']
  signal: AbortSignal
  /** Milliseconds. */
  now: () => number
  version: string
  pollMs?: number
  graceMs?: number
}

/** Runs one command line (without the program's name) and says how it ended. Throws only the reason of the signal. */
export async function runCommand(args: readonly string[], world: World): Promise<ExitCode> {
  const output = createOutput(asksForJson(args), world.stdout, world.stderr)
  const context = createContext(world, output)
  let exit: ExitCode = EXIT.done
  const run: Runner =
    (command) =>
    async (...given) => {
      const result = await command(context, ...given)
      output.result(result)
      exit = result.exit ?? EXIT.done
    }
  try {
    await buildProgram(run, world, output).parseAsync(args, { from: 'user' })
    return exit
  } catch (thrown) {
    world.signal.throwIfAborted()
    if (
      thrown instanceof CommanderError &&
      (thrown.exitCode === 0 || (thrown.code === 'commander.help' && !output.json))
    ) {
      return thrown.exitCode === 0 ? EXIT.done : EXIT.usage
    }
    const problem = toProblem(thrown instanceof CommanderError ? usageError(thrown) : thrown)
    output.problem(problem)
    return exitCodeOfProblem(problem)
  }
}

function buildProgram(run: Runner, { stdout, stderr, version }: World, { json }: Output): Command {
  const program = new Command('coffer')
    .description('Backups of applications: take, keep, download and restore them.')
    .version(version)
    .option('--json', 'print one JSON document; problems as JSON on stderr')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => json || stderr.write(text),
      outputError: () => undefined,
    })
  addAppCommands(program, run)
  addEnvironmentCommands(program, run)
  addServiceCommands(program, run)
  addBackupCommands(program, run)
  addDownloadCommand(program, run)
  addUploadCommand(program, run)
  addRestoreCommands(program, run)
  addVerifyCommands(program, run)
  addDrillCommand(program, run)
  addPlanCommands(program, run)
  addApplyCommand(program, run)
  addRetentionCommands(program, run)
  addCatalogCommands(program, run)
  addKeysCommands(program, run)
  addStatusCommand(program, run)
  addLatestCommand(program, run)
  addOrganisationCommands(program, run)
  addTokenCommands(program, run)
  addAuditCommand(program, run)
  addLoginCommands(program, run)
  addNotificationCommands(program, run)
  addEventCommands(program, run)
  return program
}

function createContext({ surroundings, stdin, signal, now, ...patience }: World, output: Output): Context {
  let api: Api | undefined
  return {
    get api() {
      if (api) return api
      const address = findProducer(surroundings)
      if (address.remark !== undefined) output.note(address.remark)
      api = new Api(address, signal)
      return api
    },
    apiAt: (address) => new Api(address, signal),
    loginsFile: surroundings.loginsFile,
    output,
    stdin,
    now,
    cwd: surroundings.cwd,
    pollMs: patience.pollMs ?? PATIENCE.pollMs,
    graceMs: patience.graceMs ?? PATIENCE.graceMs,
  }
}

/** Known before the line is parsed, so that wrong usage is told in JSON, too. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end < 0 ? args : args.slice(0, end)).includes('--json')
}

function usageError({ code, message }: CommanderError): CofferError {
  const text =
    code === 'commander.help' ? 'a command is missing' : message.replace(/^error: /, '').replaceAll('\n', ' ')
  return new CofferError('USAGE_INVALID', text)
}
