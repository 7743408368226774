import type { Command } from 'commander'
import type { Api } from '../api.ts'
import type { Runner } from '../context.ts'
import { ENVIRONMENTS, environmentNames, findApplication, findEnvironment, parseEnvironmentName } from '../names.ts'
import type { Result } from '../output.ts'
import { Environment } from '../resources.ts'
import { fields, table } from '../text.ts'
import { changesIn } from './changes.ts'

export function addEnvironmentCommands(program: Command, run: Runner): void {
  const environment = program.command('environment').description('live, test, … of an application')
  environment
    .command('create <app/env>')
    .description('register an environment of an application')
    .option('--timezone <zone>', 'its IANA time zone, such as Europe/Zurich (default: UTC)')
    .action(
      run(async ({ api }, name: string, { timezone }: { timezone?: string }) => {
        const { app, env: slug } = parseEnvironmentName(name)
        const { uuid: application } = await findApplication(api, app)
        const body = { application, slug, ...(timezone === undefined ? {} : { timezone }) }
        return shown(api, await api.post(ENVIRONMENTS, body, Environment))
      }),
    )
  environment
    .command('list')
    .description('list the environments')
    .option('--app <app>', 'only those of this application')
    .action(run(async ({ api }, { app }: { app?: string }) => listed(api, app)))
  environment
    .command('show <app/env>')
    .description('show one, by name or uuid')
    .action(run(async ({ api }, name: string) => shown(api, await findEnvironment(api, name))))
  environment
    .command('update <app/env>')
    .description('change its slug or time zone')
    .option('--slug <slug>')
    .option('--timezone <zone>')
    .action(
      run(async ({ api }, name: string, options: { slug?: string; timezone?: string }) => {
        const changes = changesIn(options, ['slug', 'timezone'])
        const { uuid } = await findEnvironment(api, name)
        return shown(api, await api.patch(`${ENVIRONMENTS}${uuid}/`, changes, Environment))
      }),
    )
  environment
    .command('delete <app/env>')
    .description('delete it; its backups are kept')
    .action(
      run(async ({ api }, name: string) => {
        const found = await findEnvironment(api, name)
        await api.delete(`${ENVIRONMENTS}${found.uuid}/`)
        return { document: found, lines: [`environment ${name} is deleted; its backups are kept`] }
      }),
    )
}

async function listed(api: Api, app: string | undefined): Promise<Result> {
  const query = app === undefined ? {} : { application: (await findApplication(api, app)).uuid }
  const environments = await api.list(ENVIRONMENTS, query, Environment)
  const names = await environmentNames(api, environments)
  const rows = environments.map(({ timezone, uuid }) => [names.get(uuid) ?? '-', timezone, uuid])
  return { document: environments, lines: table(['ENVIRONMENT', 'TIME ZONE', 'UUID'], rows) }
}

async function shown(api: Api, environment: Environment): Promise<Result> {
  const application = await findApplication(api, environment.application)
  const name = `${application.slug}/${environment.slug}`
  const { timezone, store, uuid } = environment
  return { document: environment, lines: fields({ environment: name, timezone, store: store ?? 'the default', uuid }) }
}
