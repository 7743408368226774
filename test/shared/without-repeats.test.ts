import { expect, test } from 'vitest'
import { withoutRepeats } from '../../shared/without-repeats.ts'

test('the same message passes once a minute, another one at once', () => {
  const reported: [number, string][] = []
  let time = 0
  const report = withoutRepeats(
    ({ message }: Error) => reported.push([time, message]),
    () => time,
  )
  for (const [at, message] of [
    [0, 'refused'],
    [1, 'refused'],
    [2, 'reset'],
    [59_999, 'refused'],
    [60_000, 'refused'],
    [60_001, 'refused'],
    [60_001, 'reset'],
    [60_002, 'reset'],
  ] as const) {
    time = at
    report(new Error(message))
  }
  expect(reported).toEqual([
    [0, 'refused'],
    [2, 'reset'],
    [60_000, 'refused'],
    [60_002, 'reset'],
  ])
})
