import { setTimeout as delay } from 'node:timers/promises'

/** For what no event tells: asks every few milliseconds until the answer is not null, undefined or false. The test's own timeout bounds it. */
export async function until<T>(ask: () => Promise<T | null | undefined | false>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer !== null && answer !== undefined && answer !== false) return answer
    await delay(25)
  }
}
