import { Option } from 'commander'
import type { Command } from 'commander'
import { SERVICE_TYPES } from '../../shared/domain/states.ts'
import type { Runner } from '../context.ts'
import { findEnvironment, findService, SERVICES, servicesOf } from '../names.ts'
import type { Result } from '../output.ts'
import { ServiceInstance } from '../resources/environments.ts'
import { fields, table } from '../text.ts'
import { givenUrl, withUrl, type UrlOptions } from './url-options.ts'

const ADDRESSES = 'postgres://… or file:///…'

export function addServiceCommands(program: Command, run: Runner): void {
  const service = program.command('service').description('what is backed up: a database or a folder of media files')
  withUrl(service.command('create <app/env>'), ADDRESSES)
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
  withUrl(service.command('update <service>'), ADDRESSES)
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

function shown(service: ServiceInstance): Result {
  const { type, prefix, service_status: status, environment, uuid } = service
  return { document: service, lines: fields({ type, prefix, status: status ?? '-', environment, uuid }) }
}
