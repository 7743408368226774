import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { Context, Runner } from '../context.ts'
import { findEnvironment, findPlan } from '../names.ts'
import type { Result } from '../output.ts'
import { RetentionPreview } from '../resources/retention.ts'
import { formatCount, formatTime, table } from '../text.ts'

/** Enough for a year of monthly ones to be seen going. */
const DEFAULT_DAYS = 400

type Instance = RetentionPreview['service_instances'][number]

interface PreviewOptions {
  plan?: string
  days?: number
}

export function addRetentionCommands(program: Command, run: Runner): void {
  const retention = program.command('retention').description('what is kept, why, and until when')
  retention
    .command('preview <app/env>')
    .description('what a prune would do now, and what the next days do; nothing is changed')
    .option('--plan <plan>', 'as if this were its plan')
    .option('--days <days>', `look so far ahead, and show what there is then (default: ${DEFAULT_DAYS})`, parseDays)
    .action(run(preview))
}

async function preview({ api }: Context, name: string, { plan, days }: PreviewOptions): Promise<Result> {
  const query = new URLSearchParams({
    environment: (await findEnvironment(api, name)).uuid,
    days: String(days ?? DEFAULT_DAYS),
    ...(plan === undefined ? {} : { plan: (await findPlan(api, plan)).uuid }),
  })
  const document = await api.get(`/apps/v3/retention-preview/?${query.toString()}`, RetentionPreview)
  const shown = (instance: Instance) => [
    `${instance.service_type} ${instance.prefix}`,
    ...today(instance, document.days),
    `after ${formatCount(document.days, 'day')}: ${counts(instance)}`,
    ...(days === undefined ? [] : kept(instance)),
  ]
  const lines = document.service_instances.flatMap(shown)
  return { document, lines: lines.length > 0 ? lines : ['there is nothing to back up, and no backup'] }
}

function today({ today: backups, going }: Instance, days: number): string[] {
  if (backups.length === 0) return ['no backups yet']
  const goesAt = new Map(going.map(({ id, goes_at: at }) => [id, at]))
  const until = (id: string) => (goesAt.has(id) ? formatTime(goesAt.get(id)) : `in ${days} days or later`)
  const rows = backups.map(({ id, at, label, action, standing, reason, backup }) => [
    formatTime(at),
    label ?? '-',
    standing,
    action === 'keep' ? until(id) : 'now',
    reason,
    backup ?? '',
  ])
  return table(['BACKUP OF', 'LABEL', 'STANDING', 'GOES', 'WHY', 'UUID'], rows)
}

const counts = (instance: Instance) =>
  Object.entries(instance.counts)
    .map(([label, count]) => `${count} ${label}`)
    .join(', ') || 'nothing'

function kept({ kept: backups }: Instance): string[] {
  const rows = backups.map(({ at, label, policy_class: policyClass, reason, backup }) => [
    formatTime(at),
    label ?? policyClass,
    reason,
    backup ?? 'to be taken',
  ])
  return table(['BACKUP OF', 'LABEL', 'WHY', 'UUID'], rows)
}

function parseDays(text: string): number {
  if (!/^\d{1,4}$/.test(text) || Number(text) > 1000)
    throw new InvalidArgumentError('write a number of days up to 1000.')
  return Number(text)
}
