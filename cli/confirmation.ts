import { z } from 'zod'
import { ask } from './ask.ts'
import type { Context } from './context.ts'
import { ProducerProblem } from './problem.ts'
import { formatCount, formatTime, table } from './text.ts'

const WouldDelete = z.looseObject({
  service_type: z.string(),
  prefix: z.string(),
  backup: z.string(),
  at: z.string(),
  reason: z.string(),
})
const Wanted = z.looseObject({
  code: z.literal('CONFIRMATION_REQUIRED'),
  digest: z.string(),
  would_delete: z.array(WouldDelete),
})

/**
 * Makes a change that the producer may want confirmed since backups would go: with one of the digests that were given, or by a person at the
 * terminal who has seen which. Throws what the producer answered when neither is there.
 */
export async function confirmed<T>(
  context: Context,
  digests: readonly string[],
  change: (digest: string | undefined) => Promise<T>,
): Promise<T> {
  try {
    return await change(undefined)
  } catch (thrown) {
    const wanted = Wanted.safeParse(thrown instanceof ProducerProblem ? thrown.problem : undefined)
    if (!wanted.success) throw thrown
    const { digest, would_delete: backups } = wanted.data
    if (digests.includes(digest)) return change(digest)
    const rows = backups.map(({ at, service_type: type, prefix, backup, reason }) => [
      formatTime(at),
      `${type} ${prefix}`,
      backup,
      reason,
    ])
    for (const line of table(['OF', 'SERVICE', 'BACKUP', 'WHY IT WOULD GO'], rows)) context.output.note(line)
    if (await ask(context, `Let ${formatCount(backups.length, 'service-instance backup')} go?`)) return change(digest)
    context.output.note(`to confirm exactly this: --confirm ${digest}`)
    throw thrown
  }
}
