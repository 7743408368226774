import { CofferError } from '../shared/errors.ts'

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** What a timer of Node can hold. */
const MAX_MS = 2 ** 31 - 1

/** `30m`, `90s`, `1h30m`, `250ms` → milliseconds. Throws USAGE_INVALID. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)]
  const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit ?? ''] ?? Number.NaN), 0)
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text || !(total > 0 && total <= MAX_MS)) {
    throw new CofferError('USAGE_INVALID', `"${text}" is no duration between 1ms and 24d: write 90s, 30m or 1h30m`)
  }
  return total
}
