import type { Command } from 'commander'
import type { PlanDefinition } from '../../shared/domain/plan.ts'
import { CofferError } from '../../shared/errors.ts'
import { ask } from '../ask.ts'
import { confirmed } from '../confirmation.ts'
import type { Context, Runner } from '../context.ts'
import { differences } from '../difference.ts'
import { PLANS } from '../names.ts'
import type { Result } from '../output.ts'
import { readPlanFile } from '../plan-file.ts'
import { Plan } from '../resources/environments.ts'
import { formatCount } from '../text.ts'
import { withConfirm } from './confirm-option.ts'
import type { ConfirmOptions } from './confirm-option.ts'

interface ApplyOptions extends ConfirmOptions {
  file: string
  yes?: boolean
}

interface Change {
  slug: string
  /** null: a new one. */
  uuid: string | null
  definition: PlanDefinition
  lines: string[]
}

export function addApplyCommand(program: Command, run: Runner): void {
  withConfirm(program.command('apply'))
    .description('make the plans equal to those of a file; plans that it does not name stay as they are')
    .requiredOption('-f, --file <file>', 'YAML or JSON; - for stdin')
    .option('-y, --yes', 'do not ask')
    .action(run(apply))
}

async function apply(context: Context, options: ApplyOptions): Promise<Result> {
  const { api, output } = context
  const definitions = await readPlanFile(context, options.file)
  const existing = new Map((await api.list(PLANS, {}, Plan)).map((plan) => [plan.slug, plan]))
  const changes = definitions
    .map((definition) => changeOf(definition, existing.get(definition.slug)))
    .filter(({ lines }) => lines.length > 0)
  const document = changes.map(({ slug, uuid, lines }) => ({ slug, is_new: uuid === null, differences: lines }))
  if (changes.length === 0) return { document, lines: ['nothing to do: the plans are as the file says'] }
  for (const { slug, uuid, lines } of changes) {
    output.note(`plan ${slug}${uuid === null ? ' (new)' : ''}`)
    for (const line of lines) output.note(`  ${line}`)
  }
  const summary = formatCount(changes.length, 'plan')
  if (options.yes !== true && !(await ask(context, `Change ${summary}?`)))
    throw new CofferError('CONFIRMATION_REQUIRED', `nothing was changed: ${summary} would be; --yes does it`, {
      details: { changes: document },
    })
  for (const change of changes) {
    await make(context, change, options.confirm ?? [])
    output.note(`plan ${change.slug} is ${change.uuid === null ? 'made' : 'changed'}`)
  }
  return { document, lines: [`${summary} applied`] }
}

function changeOf(definition: PlanDefinition, plan: Plan | undefined): Change {
  const { slug } = definition
  const now = plan && {
    slug,
    name: plan.name,
    schedules: plan.schedules,
    retention: plan.retention,
    verification: plan.verification,
    expected_within_hours: plan.expected_within_hours,
  }
  return { slug, uuid: plan?.uuid ?? null, definition, lines: differences(now, definition) }
}

async function make(context: Context, { uuid, definition }: Change, digests: readonly string[]): Promise<Plan> {
  if (uuid === null) return context.api.post(PLANS, definition, Plan)
  const { name, schedules, retention, verification, expected_within_hours: hours = null } = definition
  const fields = { name, schedules, retention, verification, expected_within_hours: hours }
  return confirmed(context, digests, (confirm) =>
    context.api.patch(`${PLANS}${uuid}/`, { ...fields, ...(confirm === undefined ? {} : { confirm }) }, Plan),
  )
}
