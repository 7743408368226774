import { expect, test } from 'vitest'
import { parseDuration } from '../../cli/duration.ts'

test.each([
  ['250ms', 250],
  ['90s', 90_000],
  ['30m', 1_800_000],
  ['1h30m', 5_400_000],
  ['0.5h', 1_800_000],
  ['24d', 2_073_600_000],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each(['', '30', 'm', '-5m', '0s', '5m!', '5 m', '25d', '1e3s', '30M', 'NaNs'])(
  '%j is refused as wrong usage',
  (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'USAGE_INVALID' }))
  },
)
