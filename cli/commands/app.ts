import type { Command } from 'commander'
import type { Runner } from '../context.ts'
import { APPLICATIONS, findApplication, findOrganisation } from '../names.ts'
import type { Result } from '../output.ts'
import { Application } from '../resources/environments.ts'
import { fields, table } from '../text.ts'
import { changesIn } from './changes.ts'

export function addAppCommands(program: Command, run: Runner): void {
  const app = program.command('app').description('the applications whose backups are kept')
  app
    .command('create <slug>')
    .description('register an application')
    .option('--name <name>', 'its name for people (default: the slug)')
    .option('--organisation <organisation>', 'whose it is (default: that of the token)')
    .action(
      run(async ({ api }, slug: string, { name = slug, organisation }: { name?: string; organisation?: string }) => {
        const chosen = organisation === undefined ? undefined : await findOrganisation(api, organisation)
        const body = { slug, name, ...(chosen && { organisation: chosen.uuid }) }
        return shown(await api.post(APPLICATIONS, body, Application))
      }),
    )
  app
    .command('list')
    .description('list the applications')
    .action(
      run(async ({ api }) => {
        const applications = await api.list(APPLICATIONS, {}, Application)
        const rows = applications.map(({ slug, name, uuid }) => [slug, name, uuid])
        return { document: applications, lines: table(['SLUG', 'NAME', 'UUID'], rows) }
      }),
    )
  app
    .command('show <app>')
    .description('show one, by slug or uuid')
    .action(run(async ({ api }, name: string) => shown(await findApplication(api, name))))
  app
    .command('update <app>')
    .description('change its slug or name')
    .option('--slug <slug>')
    .option('--name <name>')
    .action(
      run(async ({ api }, name: string, options: { slug?: string; name?: string }) => {
        const changes = changesIn(options, ['slug', 'name'])
        const { uuid } = await findApplication(api, name)
        return shown(await api.patch(`${APPLICATIONS}${uuid}/`, changes, Application))
      }),
    )
  app
    .command('delete <app>')
    .description('delete it; its backups are kept')
    .action(
      run(async ({ api }, name: string) => {
        const application = await findApplication(api, name)
        await api.delete(`${APPLICATIONS}${application.uuid}/`)
        return { document: application, lines: [`application ${application.slug} is deleted; its backups are kept`] }
      }),
    )
}

function shown(application: Application): Result {
  const { slug, name, organisation, uuid } = application
  return { document: application, lines: fields({ slug, name, organisation, uuid }) }
}
