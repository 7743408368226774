import { setTimeout } from 'node:timers/promises'
import { CofferError } from '../errors.ts'

export interface Patience {
  /** How long after the first failure a new try may begin. */
  patienceMs: number
  /** Delay before the second try; it doubles up to 10 s, with jitter. */
  firstDelayMs: number
  signal?: AbortSignal | undefined
}

const LONGEST_DELAY_MS = 10_000

/** Repeats what failed with STORE_UNREACHABLE while patience lasts; an abort ends it at once with the signal's reason. */
export async function persist<T>(attempt: () => Promise<T>, patience: Patience): Promise<T> {
  const { patienceMs, firstDelayMs, signal } = patience
  let firstFailure: number | undefined
  for (let delay = firstDelayMs; ; delay = Math.min(delay * 2, LONGEST_DELAY_MS)) {
    try {
      return await attempt()
    } catch (error) {
      signal?.throwIfAborted()
      firstFailure ??= performance.now()
      const isTransient = error instanceof CofferError && error.code === 'STORE_UNREACHABLE'
      if (!isTransient || performance.now() - firstFailure + delay > patienceMs) throw error
    }
    await setTimeout(delay * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
}
