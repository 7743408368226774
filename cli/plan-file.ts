import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { parse } from 'yaml'
import { z } from 'zod'
import { NewPlan } from '../shared/domain/new-plan.ts'
import type { PlanDefinition } from '../shared/domain/plan.ts'
import { CofferError } from '../shared/errors.ts'
import { cronProblem } from '../shared/schedules/due-times.ts'
import type { Context } from './context.ts'

const PlanFile = z.strictObject({
  plans: z.array(NewPlan, 'must be a list of plans').superRefine((plans, context) => {
    for (const [index, { slug, schedules }] of plans.entries()) {
      if (plans.findIndex((plan) => plan.slug === slug) < index)
        context.addIssue({ code: 'custom', path: [index, 'slug'], message: `the plan ${slug} is there twice` })
      for (const [position, rule] of schedules.entries()) {
        const message = rule.kind === 'cron' ? cronProblem(rule.cron) : null
        if (message !== null)
          context.addIssue({ code: 'custom', path: [index, 'schedules', position, 'cron'], message })
      }
    }
  }),
})

/** The plans of a file, or of stdin for `-`: YAML or JSON. Throws USAGE_INVALID with every problem at once. */
export async function readPlanFile({ cwd, stdin }: Context, path: string): Promise<PlanDefinition[]> {
  const content = path === '-' ? await text(stdin) : await readGiven(resolve(cwd, path))
  const parsed = PlanFile.safeParse(parseYaml(content, path))
  if (parsed.success) return parsed.data.plans
  const problems = parsed.error.issues.flatMap(describe)
  throw new CofferError('USAGE_INVALID', `${path} is not valid: ${problems.join('; ')}`, { details: { problems } })
}

async function readGiven(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CofferError('USAGE_INVALID', `cannot read the plans: ${reason}`, { cause })
  }
}

function parseYaml(content: string, path: string): unknown {
  try {
    // No alias is expanded more than this often, so that a small file cannot fill the memory.
    return parse(content, { maxAliasCount: 100 }) as unknown
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : ''
    throw new CofferError('USAGE_INVALID', `${path} is no YAML: ${reason ?? ''}`, { cause })
  }
}

function describe(issue: z.core.$ZodIssue): string[] {
  const at = issue.path.map(String)
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `${[...at, key].join('.')}: is not known here`)
  return [`${at.join('.') || 'the file'}: ${issue.message}`]
}
