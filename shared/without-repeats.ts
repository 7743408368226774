const QUIET_MS = 60_000

/**
 * Passes on an error unless one with the same message was passed on within a minute: what is connected to a server that is away
 * fails many times a second. `now` in milliseconds.
 */
export function withoutRepeats<Failure extends Error>(
  report: (error: Failure) => void,
  now: () => number,
): (error: Failure) => void {
  const passed = new Map<string, number>()
  return (error) => {
    const time = now()
    for (const [message, at] of passed) if (time - at >= QUIET_MS) passed.delete(message)
    if (passed.has(error.message)) return
    passed.set(error.message, time)
    report(error)
  }
}
