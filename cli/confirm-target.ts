import { CofferError } from '../shared/errors.ts'
import { askFor } from './ask.ts'
import type { Context } from './context.ts'

/**
 * Has a person type the name of the environment that is restored into, or takes it from --confirm. Asked always: whether a target
 * holds something that would be replaced, only the worker sees.
 * @throws USAGE_INVALID
 */
export async function confirmTarget(context: Context, name: string, given: string | undefined): Promise<string> {
  const typed = given ?? (await askFor(context, `This replaces what ${name} holds. Type ${name} to go on:`))
  if (typed === null)
    throw new CofferError(
      'USAGE_INVALID',
      `this replaces what ${name} holds: give the same command with --confirm ${name}`,
    )
  if (typed === name) return typed
  throw new CofferError('USAGE_INVALID', `"${typed}" is not the target: it is ${name}, and nothing was done`)
}
