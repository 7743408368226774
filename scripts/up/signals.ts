/** Signals closer together than this are one: npm passes on what the terminal has sent already. */
const SAME_MS = 300

export interface StopSignals {
  /** The first signal: stop in order. */
  stop: AbortSignal
  /** The second: stop now. */
  force: AbortSignal
}

/** Turns SIGINT, SIGTERM and SIGHUP of this process into the two stages of stopping. */
export function listenForStop(write: (line: string) => void): StopSignals {
  const stop = new AbortController()
  const force = new AbortController()
  let lastAt = -SAME_MS
  const received = (): void => {
    const now = performance.now()
    const isRepeated = now - lastAt < SAME_MS
    lastAt = now
    if (isRepeated || force.signal.aborted) return
    if (!stop.signal.aborted) write('stopping; once more to force it')
    ;(stop.signal.aborted ? force : stop).abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, received)
  return { stop: stop.signal, force: force.signal }
}
