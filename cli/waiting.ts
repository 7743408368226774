import { setTimeout as delay } from 'node:timers/promises'
import { CofferError } from '../shared/errors.ts'
import { ProducerProblem } from './problem.ts'

export interface Patience {
  signal: AbortSignal
  /** Between one answer and the next question. */
  pollMs: number
  /** How long the producer may be away before the wait is given up. */
  graceMs: number
  /** Milliseconds. */
  now: () => number
}

/** Where nothing else is said. */
export const PATIENCE = { pollMs: 1000, graceMs: 120_000 }

/** Asks until `isDone`; `seen` hears every answer. A producer that restarts meanwhile is waited for. Throws the reason of the signal. */
export async function waitUntil<T>(
  ask: () => Promise<T>,
  isDone: (answer: T) => boolean,
  seen: (answer: T) => void,
  { signal, pollMs, graceMs, now }: Patience,
): Promise<T> {
  let lastAnswerAt = now()
  for (;;) {
    try {
      const answer = await ask()
      lastAnswerAt = now()
      seen(answer)
      if (isDone(answer)) return answer
    } catch (thrown) {
      if (!isPassing(thrown) || now() - lastAnswerAt > graceMs) throw thrown
    }
    await delay(pollMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

function isPassing(thrown: unknown): boolean {
  if (thrown instanceof ProducerProblem) return thrown.problem.code === 'SERVICE_UNAVAILABLE'
  return thrown instanceof CofferError && thrown.code === 'PRODUCER_UNREACHABLE'
}

/** A signal that aborts with WAIT_TIMED_OUT after `timeoutMs`; never, when that is undefined. */
export function deadline(timeoutMs: number | undefined, doing: string, details: Record<string, unknown> = {}) {
  const controller = new AbortController()
  const expire = () => {
    const seconds = (timeoutMs ?? 0) / 1000
    controller.abort(new CofferError('WAIT_TIMED_OUT', `${doing} was not finished within ${seconds} s`, { details }))
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs)
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}
