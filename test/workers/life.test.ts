import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../shared/clock.ts'
import { openLog } from '../../shared/log.ts'
import { deadlineToRead, startLife, type Life, type LifeOptions } from '../../workers/life.ts'
import { until } from '../support/until.ts'

const BEATS_A_SECOND = 50

/** A life of fifty beats a second whose watchdog bites after a fifth of a second, and a count of its renewals. */
function live(options: Partial<LifeOptions> = {}): { life: Life; renewals: () => number } {
  let renewals = 0
  const { renew = () => Promise.resolve('held' as const) } = options
  const life = startLife({
    subject: 'a run',
    leaseSeconds: 3 / BEATS_A_SECOND,
    watchdogSeconds: 0.2,
    deadlineSeconds: 60,
    stop: new AbortController().signal,
    clock: systemClock,
    log: openLog('test', 'error'),
    ...options,
    renew: (progress) => {
      renewals++
      return renew(progress)
    },
  })
  onTestFinished(() => life.end())
  return { life, renewals: () => renewals }
}

const aborted = (life: Life) => until(() => Promise.resolve(life.signal.aborted && (life.signal.reason as unknown)))
const renewed = (renewals: () => number, times: number) => until(() => Promise.resolve(renewals() >= times))

/** Resolves when no renewal has come for as long as twenty of them take. */
async function quiet(renewals: () => number): Promise<void> {
  let [seen, since] = [renewals(), performance.now()]
  await until(() => {
    if (seen !== renewals()) [seen, since] = [renewals(), performance.now()]
    return Promise.resolve(performance.now() - since > (20 / BEATS_A_SECOND) * 1000)
  })
}

test('F7 a run that reports lives on; one that falls silent is ended by the watchdog', async () => {
  const reporting = live({
    renew: () => {
      reporting.life.report({ plain_bytes: 1 })
      return Promise.resolve('held')
    },
  })
  const silent = live()
  expect(await aborted(silent.life)).toMatchObject({ code: 'RUN_STALLED' })
  await renewed(reporting.renewals, BEATS_A_SECOND / 2)
  expect(reporting.life.signal.aborted).toBe(false)
})

test('F7 when no more bytes will move, only the deadline ends a run', async () => {
  const patient = live()
  patient.life.allMoved()
  await renewed(patient.renewals, BEATS_A_SECOND / 2)
  expect(patient.life.signal.aborted).toBe(false)

  const late = live({ deadlineSeconds: 0.1 })
  late.life.allMoved()
  expect(await aborted(late.life)).toMatchObject({ code: 'RUN_DEADLINE' })
})

test.each([
  ['after it was ended', (_life: Life, stop: AbortController) => stop.abort()],
  ['while it is sealed', (life: Life) => life.beginSealing()],
])('F7 a run that hangs %s, where nothing can interrupt it, lets go of its lease', async (_when, hang) => {
  const stop = new AbortController()
  const { life, renewals } = live({ stop: stop.signal })
  await renewed(renewals, 1)
  hang(life, stop)
  await renewed(renewals, renewals() + 2)
  await quiet(renewals)
})

test('renewals that a catalog does not answer do not pile up', async () => {
  let answer: (() => void) | undefined
  const stuck = live({ renew: () => new Promise((resolve) => (answer = () => resolve('held'))) })
  const other = live()
  await renewed(other.renewals, 5)
  expect(stuck.renewals()).toBe(1)
  answer?.()
  await renewed(stuck.renewals, 2)
  answer?.()
})

test('what took a day to back up may take five to restore, and nothing has less than the deadline', () => {
  const config = { COFFER_DEADLINE_SECONDS: 21_600 }
  expect(deadlineToRead(config, 86_400)).toBe(5 * 86_400)
  expect(deadlineToRead(config, 60)).toBe(21_600)
})
