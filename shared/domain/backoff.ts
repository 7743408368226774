const LONGEST_SECONDS = 3_600

/**
 * Seconds until the next attempt: doubles with each, up to an hour, spread by ±50 % so that many that failed together do not return together.
 * @param random from 0 to below 1
 */
export function backoffSeconds(attempt: number, baseSeconds: number, random: number): number {
  const doubled = baseSeconds * 2 ** Math.min(attempt - 1, 20)
  return Math.min(doubled, LONGEST_SECONDS) * (0.5 + random)
}
