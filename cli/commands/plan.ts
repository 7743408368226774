import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { DEFAULT_POLICY } from '../../shared/domain/retention/policy.ts'
import type { AgeRule, Tier } from '../../shared/domain/retention/policy.ts'
import type { ScheduleRule } from '../../shared/domain/schedule-rule.ts'
import { CofferError } from '../../shared/errors.ts'
import { confirmed } from '../confirmation.ts'
import type { Context, Runner } from '../context.ts'
import { findPlan, PLANS } from '../names.ts'
import type { Result } from '../output.ts'
import { parseAgeRule, parseSchedule, parseTiers } from '../plan-options.ts'
import { planLines, scheduleText, tiersText } from '../plan-text.ts'
import { Plan } from '../resources/environments.ts'
import { table } from '../text.ts'
import { withConfirm } from './confirm-option.ts'
import type { ConfirmOptions } from './confirm-option.ts'

interface PlanOptions {
  name?: string
  /** false: `--no-schedule`. */
  schedule?: ScheduleRule[] | false
  keep?: Tier[]
  onDemand?: AgeRule
  expectedWithin?: number
}

export function addPlanCommands(program: Command, run: Runner): void {
  const plan = program.command('plan').description('when backups are taken, and which are kept')
  withPlanOptions(plan.command('create <slug>')).description('make a plan').action(run(create))
  plan.command('list').description('list the plans').action(run(list))
  plan
    .command('show <plan>')
    .description('show one, by slug or uuid')
    .action(run(async ({ api }, name: string) => shown(await findPlan(api, name))))
  withConfirm(withPlanOptions(plan.command('update <plan>')))
    .description('change it; schedules that are given replace all that it has')
    .option('--no-schedule', 'take nothing by itself')
    .action(run(update))
  plan
    .command('delete <plan>')
    .description('delete it; refused while an environment has it')
    .action(
      run(async ({ api }, name: string) => {
        const found = await findPlan(api, name)
        await api.delete(`${PLANS}${found.uuid}/`)
        return { document: found, lines: [`plan ${found.slug} is deleted`] }
      }),
    )
}

function withPlanOptions(command: Command): Command {
  return command
    .option('--name <name>', 'its name for people')
    .option(
      '--schedule <rule>',
      '"night=daily 01:00-05:00", "sunday=weekly sunday 01:00-05:00" or "often=cron 0 */6 * * *"; may be repeated',
      parseSchedule,
    )
    .option('--keep <tiers>', 'how many of the scheduled ones, such as day=7,week=4,month=12', parseTiers)
    .option(
      '--on-demand <days/count>',
      'such as 30/3: all of 30 days, and the 3 newest good of the older',
      parseAgeRule,
    )
    .option('--expected-within <hours>', 'a good backup that is older makes an environment overdue', parseHours)
}

async function create({ api }: Context, slug: string, options: PlanOptions): Promise<Result> {
  return shown(await api.post(PLANS, { slug, ...changed(options, DEFAULT_POLICY) }, Plan))
}

async function update(context: Context, name: string, options: PlanOptions & ConfirmOptions): Promise<Result> {
  const plan = await findPlan(context.api, name)
  const changes = changed(options, plan.retention)
  if (Object.keys(changes).length === 0)
    throw new CofferError(
      'USAGE_INVALID',
      'nothing to change: give --name, --schedule, --keep, --on-demand or --expected-within',
    )
  const change = (confirm: string | undefined) =>
    context.api.patch(`${PLANS}${plan.uuid}/`, { ...changes, ...(confirm === undefined ? {} : { confirm }) }, Plan)
  return shown(await confirmed(context, options.confirm ?? [], change))
}

/** The fields that the options change. Retention goes as a whole, so that it is checked as a whole. */
function changed({ name, schedule, keep, onDemand, expectedWithin }: PlanOptions, retention: Plan['retention']) {
  const hasRetention = keep !== undefined || onDemand !== undefined
  return {
    ...(name === undefined ? {} : { name }),
    ...(schedule === undefined ? {} : { schedules: schedule === false ? [] : schedule }),
    ...(hasRetention
      ? {
          retention: {
            ...retention,
            scheduled: keep === undefined ? retention.scheduled : { tiers: keep },
            on_demand: onDemand ?? retention.on_demand,
          },
        }
      : {}),
    ...(expectedWithin === undefined ? {} : { expected_within_hours: expectedWithin }),
  }
}

async function list({ api }: Context): Promise<Result> {
  const plans = await api.list(PLANS, {}, Plan)
  const rows = plans.map((plan) => [plan.slug, plan.schedules.map(scheduleText).join('; ') || '-', tiersText(plan)])
  return { document: plans, lines: table(['PLAN', 'SCHEDULES', 'KEEPS'], rows) }
}

const shown = (plan: Plan): Result => ({ document: plan, lines: planLines(plan) })

function parseHours(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('write a whole number of hours from 1.')
  return Number(text)
}
