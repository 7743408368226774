import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { backupLine, backupRows } from '../../cli/backup-progress.ts'
import { createOutput } from '../../cli/output.ts'
import { openProgress } from '../../cli/progress.ts'
import { RateMeter, Rates } from '../../cli/rate.ts'
import type { ServiceInstanceBackup } from '../../cli/resources/backups.ts'

const MIB = 1024 ** 2
const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()

function running(change: Partial<ServiceInstanceBackup> = {}): ServiceInstanceBackup {
  const names = { uuid: 'u', backup: 'b', service_instance: 's', service_type: 'DATABASE', prefix: 'DEFAULT' }
  return { ...names, state: 'RUNNING', success: null, attempt: 1, errors: [], warnings: [], ...change }
}

const bytes = (plain: number, second = 0, more = {}) => ({
  progress: { plain_bytes: plain, updated_at: at(second), ...more },
})
const failure = { code: 'SOURCE_UNREACHABLE', message: 'no route to db', remedy: 'look', attempt: 1 }

describe('the line of a service-instance backup', () => {
  test.each([
    ['waits', running({ state: 'QUEUED', attempt: 0 }), 'queued'],
    [
      'waits for the next attempt',
      running({ state: 'QUEUED', errors: [failure], retry_at: at(30) }),
      'queued again, not before 2026-01-01 00:00:30Z  no route to db',
    ],
    ['has just begun', running({ attempt: 2 }), 'attempt 2  running'],
    ['has no expectation', running(bytes(5 * MIB)), '5.0 MiB'],
    [
      'is half way',
      running(bytes(5 * MIB, 0, { expected_bytes: 10 * MIB, files: 1204 })),
      '[####----] 50 %  5.0 of 10.0 MiB  1,204 files',
    ],
    [
      'is larger than expected, of which nothing follows any more',
      running(bytes(20 * MIB, 0, { expected_bytes: 10 * MIB })),
      '20.0 MiB',
    ],
    ['expects nothing', running(bytes(0, 0, { expected_bytes: 0 })), '0 B'],
    ['is done', running({ state: 'COMPLETED', success: 'SUCCESS', size: 3 * MIB }), 'success, 3.0 MiB'],
    [
      'succeeded at last',
      running({ state: 'COMPLETED', success: 'SUCCESS', size: 0, errors: [failure] }),
      'success, 0 B',
    ],
    ['failed', running({ state: 'COMPLETED', success: 'FAILURE', errors: [failure] }), 'failure: no route to db'],
    ['was cancelled', running({ state: 'COMPLETED', success: 'CANCELLED', size: null }), 'cancelled'],
  ])('when it %s', (_title, backup, text) => {
    expect(backupLine(backup, null)).toBe(`DATABASE DEFAULT  ${text}`)
  })

  test('fits a terminal of 80 columns with all that there is to tell', () => {
    const largest = { expected_bytes: 999.9 * MIB, files: 50_000 }
    expect(
      backupLine(running({ service_type: 'STORAGE', ...bytes(888.8 * MIB, 0, largest) }), 10 * MIB).length,
    ).toBeLessThan(80)
  })

  test('has the rate of what the worker reported, and none while it seals', () => {
    const rates = new Rates()
    backupRows([running(bytes(0, 0))], rates)
    expect(backupRows([running(bytes(6 * MIB, 2))], rates)[0]?.line).toBe('DATABASE DEFAULT  6.0 MiB  3.0 MiB/s')
    expect(backupRows([running({ state: 'SEALING', ...bytes(6 * MIB, 3) })], rates)[0]?.line).toBe(
      'DATABASE DEFAULT  sealing',
    )
  })
})

describe('the rate', () => {
  const meterOf = (samples: readonly (readonly [number, number])[]) => {
    const meter = new RateMeter()
    for (const [count, time] of samples) meter.add(count, time)
    return meter.perSecond
  }

  test.each([
    ['unknown from nothing', [], null],
    ['unknown from one report', [[5, 1000]], null],
    [
      'unknown from the same report twice',
      [
        [5, 1000],
        [5, 1000],
      ],
      null,
    ],
    [
      'bytes by time',
      [
        [0, 1000],
        [500, 2000],
      ],
      500,
    ],
    [
      'that of the last ten seconds',
      [
        [0, 0],
        [1_000_000, 1000],
        [1_000_100, 10_900],
        [1_000_200, 11_000],
      ],
      20,
    ],
    [
      'begun anew when a new attempt begins',
      [
        [0, 0],
        [900, 1000],
        [10, 2000],
        [30, 3000],
      ],
      20,
    ],
    [
      'zero while nothing moves',
      [
        [7, 0],
        [7, 5000],
      ],
      0,
    ],
  ] as const)('is %s', (_title, samples, rate) => {
    expect(meterOf(samples)).toBe(rate)
  })
})

describe('the display', () => {
  const row = (state: string, line: string, key = 'a') => ({ key, state, line })

  function display({ json = false, isTTY = false, columns = 80 } = {}) {
    const stderr = Object.assign(new PassThrough(), { isTTY, columns })
    const clock = { now: 0 }
    const written = () => String(stderr.read() ?? '')
    return {
      ...clock,
      clock,
      written,
      shown: openProgress(createOutput(json, new PassThrough(), stderr), () => clock.now),
    }
  }

  test('where there is no terminal is a line for each state, and one every ten seconds', () => {
    const { clock, shown, written } = display()
    const steps: [number, string, string][] = [
      [0, 'QUEUED', 'queued'],
      [1, 'QUEUED', 'queued'],
      [2, 'RUNNING', '1 MiB'],
      [11, 'RUNNING', '2 MiB'],
      [12, 'RUNNING', '3 MiB'],
      [30, 'RUNNING', '3 MiB'],
      [31, 'COMPLETED', 'done\u001b[2J'],
    ]
    for (const [second, state, line] of steps) {
      clock.now = second * 1000
      shown.show([row(state, line)])
    }
    expect(written()).toBe('queued\n1 MiB\n3 MiB\ndone\\u001b[2J\n')
  })

  test('with --json is nothing at all', () => {
    const { shown, written } = display({ json: true, isTTY: true })
    shown.show([row('QUEUED', 'queued')])
    shown[Symbol.dispose]()
    expect(written()).toBe('')
  })

  test('on a terminal ends with one line each, cut to its width, made safe, and the cursor back', () => {
    const { shown, written } = display({ isTTY: true, columns: 20 })
    shown.show([row('RUNNING', 'one'), row('RUNNING', 'two', 'b')])
    shown.show([row('COMPLETED', 'one \u001b]0;title\u0007 done'), row('COMPLETED', 'x'.repeat(50), 'b')])
    shown[Symbol.dispose]()
    const output = written()
    const lines = output.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '').split('\n')
    expect(lines.map((line) => line.trim())).toEqual(['one \\u001b]0;title\\', 'x'.repeat(19), ''])
    expect(output.indexOf('\u001b[?25h')).toBeGreaterThan(output.indexOf('\u001b[?25l'))
  })
})
