import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { Option } from 'commander'
import type { Command } from 'commander'
import { SERVICE_TYPES } from '../../shared/domain/states.ts'
import { CofferError } from '../../shared/errors.ts'
import type { Context, Runner } from '../context.ts'
import { findEnvironment, findService, SERVICES, servicesOf } from '../names.ts'
import type { Result } from '../output.ts'
import { ServiceInstance } from '../resources.ts'
import { fields, table } from '../text.ts'

interface UrlOptions {
  url?: string
  urlFile?: string
  urlStdin?: boolean
}

export function addServiceCommands(program: Command, run: Runner): void {
  const service = program.command('service').description('what is backed up: a database or a folder of media files')
  withUrl(service.command('create <app/env>'))
    .description('register a service instance of an environment')
    .addOption(new Option('--type <type>', 'what it is').choices(SERVICE_TYPES).makeOptionMandatory())
    .option('--prefix <prefix>', 'its name among those of its type', 'DEFAULT')
    .action(
      run(async (context, name: string, options: UrlOptions & { type: string; prefix: string }) => {
        const { type, prefix } = options
        const url = await givenUrl(context, options)
        const { uuid: environment } = await findEnvironment(context.api, name)
        return shown(
          await context.api.post(SERVICES, { environment, type, prefix, connection: { url } }, ServiceInstance),
        )
      }),
    )
  service
    .command('list <app/env>')
    .description('list the service instances of an environment')
    .action(
      run(async ({ api }, name: string) => {
        const { uuid: environment } = await findEnvironment(api, name)
        const services = await servicesOf(api, environment)
        const rows = services.map(({ type, prefix, service_status: status, uuid }) => [
          type,
          prefix,
          status ?? '-',
          uuid,
        ])
        return { document: services, lines: table(['TYPE', 'PREFIX', 'STATUS', 'UUID'], rows) }
      }),
    )
  service
    .command('show <service>')
    .description('show one, by app/env:PREFIX, app/env:TYPE:PREFIX or uuid')
    .action(run(async ({ api }, name: string) => shown(await findService(api, name))))
  withUrl(service.command('update <service>'))
    .description('change its connection')
    .action(
      run(async (context, name: string, options: UrlOptions) => {
        const url = await givenUrl(context, options)
        const { uuid } = await findService(context.api, name)
        return shown(await context.api.patch(`${SERVICES}${uuid}/`, { connection: { url } }, ServiceInstance))
      }),
    )
  service
    .command('delete <service>')
    .description('delete it; its backups are kept')
    .action(
      run(async ({ api }, name: string) => {
        const found = await findService(api, name)
        await api.delete(`${SERVICES}${found.uuid}/`)
        return { document: found, lines: [`${found.type} ${found.prefix} is deleted; its backups are kept`] }
      }),
    )
}

function withUrl(command: Command): Command {
  return command
    .addOption(
      new Option('--url-stdin', 'read the address (postgres://… or file:///…) from stdin').conflicts([
        'urlFile',
        'url',
      ]),
    )
    .addOption(new Option('--url-file <file>', 'read the address from a file').conflicts('url'))
    .option('--url <url>', 'the address; other users see it in the list of processes')
}

/** The connection's address without the line end that editors and echo add. */
async function givenUrl({ stdin, cwd, output }: Context, { url, urlFile, urlStdin }: UrlOptions): Promise<string> {
  if (url !== undefined) {
    output.note('warning: --url can be seen in the list of processes; --url-stdin and --url-file cannot')
    return notEmpty(url, '--url')
  }
  if (urlFile !== undefined) return notEmpty(await readUrlFile(resolve(cwd, urlFile)), urlFile)
  if (urlStdin !== true) throw new CofferError('USAGE_INVALID', 'no connection: give --url-stdin, --url-file or --url')
  if (stdin.isTTY) output.note('type the address, then Enter and Ctrl-D')
  return notEmpty(await text(stdin), 'stdin')
}

async function readUrlFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CofferError(
      'USAGE_INVALID',
      `cannot read the address: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
}

function notEmpty(address: string, from: string): string {
  const trimmed = address.trim()
  if (trimmed === '') throw new CofferError('USAGE_INVALID', `${from} holds no address`)
  return trimmed
}

function shown(service: ServiceInstance): Result {
  const { type, prefix, service_status: status, environment, uuid } = service
  return { document: service, lines: fields({ type, prefix, status: status ?? '-', environment, uuid }) }
}
