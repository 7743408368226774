import type { Command } from 'commander'
import type { Api } from '../api.ts'
import { confirmed } from '../confirmation.ts'
import type { Context, Runner } from '../context.ts'
import {
  ENVIRONMENTS,
  environmentNames,
  findApplication,
  findEnvironment,
  findPlan,
  parseEnvironmentName,
  PLANS,
} from '../names.ts'
import type { Result } from '../output.ts'
import { Environment, Plan } from '../resources/environments.ts'
import { fields, table } from '../text.ts'
import { changesIn } from './changes.ts'
import { withConfirm } from './confirm-option.ts'
import type { ConfirmOptions } from './confirm-option.ts'

interface UpdateOptions extends ConfirmOptions {
  slug?: string
  timezone?: string
  plan?: string
}

export function addEnvironmentCommands(program: Command, run: Runner): void {
  const environment = program.command('environment').description('live, test, … of an application')
  environment
    .command('create <app/env>')
    .description('register an environment of an application')
    .option('--timezone <zone>', 'its IANA time zone, such as Europe/Zurich (default: UTC)')
    .option('--plan <plan>', 'when its backups are taken and which are kept (default: the plan "default")')
    .action(
      run(async ({ api }, name: string, { timezone, plan }: { timezone?: string; plan?: string }) => {
        const { app, env: slug } = parseEnvironmentName(name)
        const { uuid: application } = await findApplication(api, app)
        const body = {
          application,
          slug,
          ...(timezone === undefined ? {} : { timezone }),
          ...(plan === undefined ? {} : { plan: (await findPlan(api, plan)).uuid }),
        }
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
  withConfirm(environment.command('update <app/env>'))
    .description('change its slug, time zone or plan')
    .option('--slug <slug>')
    .option('--timezone <zone>')
    .option('--plan <plan>')
    .action(run(update))
  environment
    .command('resume-pruning <app/env>')
    .description('allow deletions again that a guard has stopped; look at "retention preview" first')
    .action(
      run(async ({ api }, name: string) => {
        const { uuid } = await findEnvironment(api, name)
        return shown(api, await api.post(`${ENVIRONMENTS}${uuid}/resume-pruning/`, {}, Environment))
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

async function update(context: Context, name: string, options: UpdateOptions): Promise<Result> {
  const { api } = context
  const changes = changesIn(options, ['slug', 'timezone', 'plan'])
  if (changes.plan !== undefined) changes.plan = (await findPlan(api, changes.plan)).uuid
  const { uuid } = await findEnvironment(api, name)
  const change = (confirm: string | undefined) =>
    api.patch(`${ENVIRONMENTS}${uuid}/`, { ...changes, ...(confirm === undefined ? {} : { confirm }) }, Environment)
  return shown(api, await confirmed(context, options.confirm ?? [], change))
}

async function listed(api: Api, app: string | undefined): Promise<Result> {
  const query = app === undefined ? {} : { application: (await findApplication(api, app)).uuid }
  const environments = await api.list(ENVIRONMENTS, query, Environment)
  const names = await environmentNames(api, environments)
  const plans = new Map((await api.list(PLANS, {}, Plan)).map(({ uuid, slug }) => [uuid, slug]))
  const rows = environments.map(({ timezone, plan, uuid }) => [
    names.get(uuid) ?? '-',
    timezone,
    plans.get(plan ?? '') ?? '-',
    uuid,
  ])
  return { document: environments, lines: table(['ENVIRONMENT', 'TIME ZONE', 'PLAN', 'UUID'], rows) }
}

async function shown(api: Api, environment: Environment): Promise<Result> {
  const application = await findApplication(api, environment.application)
  const { timezone, plan, store, uuid, pruning_stopped: stopped } = environment
  return {
    document: environment,
    lines: fields({
      environment: `${application.slug}/${environment.slug}`,
      timezone,
      plan: plan === null ? 'none' : (await findPlan(api, plan)).slug,
      store: store ?? 'the default',
      ...(stopped ? { 'pruning stopped': stopped.reason } : {}),
      uuid,
    }),
  }
}
