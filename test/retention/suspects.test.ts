import { describe, expect, test } from 'vitest'
import { acknowledgeSize } from '../../shared/catalog/suspects.ts'
import { clearedBySuccessors, collapsedFrom, type SealedSize } from '../../shared/domain/size-collapse.ts'
import { startClockedWorker } from '../support/clocked-worker.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { daysBefore, sealBackup } from '../support/sealed-backups.ts'

const NOW = new Date('2031-05-20T12:00:00.000Z')

const good = (...sizes: number[]): SealedSize[] =>
  sizes.map((plainSize, n) => ({ id: `good ${n}`, plainSize, isSuspect: false }))
const suspect = (...sizes: number[]): SealedSize[] =>
  sizes.map((plainSize, n) => ({ id: `suspect ${n}`, plainSize, isSuspect: true }))

describe('a size', () => {
  test.each<[number, SealedSize[], number | null]>([
    [49, good(100), 100],
    [50, good(100), null],
    [0, [], null],
    [49, good(10, 100, 100, 100, 1000), 100],
    [1, good(1, 1, 1, 100, 100, 100, 100), null],
    [49, [...suspect(10, 10, 10), ...good(100)], 100],
    [1000, good(10), null],
  ])('%i after %j: the median that it has collapsed from is %s', (size, before, expected) => {
    expect(collapsedFrom(size, before)).toBe(expected)
  })

  test.each<[SealedSize[], string[]]>([
    [suspect(10, 10, 10, 10), ['suspect 0', 'suspect 1', 'suspect 2', 'suspect 3']],
    [suspect(10, 10, 10), []],
    [[...suspect(10, 10, 10), ...good(100), ...suspect(10)], []],
    [suspect(20, 5, 10, 10), ['suspect 0', 'suspect 1', 'suspect 2', 'suspect 3']],
    [suspect(21, 10, 10, 10), []],
    [suspect(10, 10, 10, 10, 40), ['suspect 0', 'suspect 1', 'suspect 2', 'suspect 3']],
  ])('three like-sized successors of a suspect one clear it: %j', (sealed, expected) => {
    expect(clearedBySuccessors(sealed)).toEqual(expected)
  })
})

test('a size that collapses makes a backup suspect, with an alert, until a person or the third like-sized successor clears it', async () => {
  await using coffer = await startTestCoffer()
  await using worker = await startClockedWorker(coffer, { now: NOW })
  await coffer.addService('STORAGE', 'file:///nowhere')
  const seal = async (age: number, size: number) =>
    (await sealBackup(coffer, worker, { at: daysBefore(NOW, age), size })).parts[0] ?? ''
  const suspects = async () => {
    const rows = await coffer.catalog.query<{ id: string }>(
      'SELECT id FROM service_instance_backups WHERE suspect_reason IS NOT NULL AND suspect_cleared_at IS NULL ORDER BY queued_at',
    )
    const alerts = await coffer.catalog.query<{ subject: string }>(
      `SELECT a.subject FROM alerts a JOIN service_instance_backups s ON s.id::text = a.subject
        WHERE a.kind = 'suspect' AND a.resolved_at IS NULL ORDER BY s.queued_at`,
    )
    expect(alerts.map(({ subject }) => subject)).toEqual(rows.map(({ id }) => id))
    return rows.map(({ id }) => id)
  }
  for (const age of [20, 19, 18]) await seal(age, 10_000)
  const first = await sealBackup(coffer, worker, { at: daysBefore(NOW, 17), size: 4_000 })
  expect(await suspects()).toEqual(first.parts)
  expect((await coffer.parts(first.id))[0]?.suspect).toContain('10000 (median)')
  await acknowledgeSize(coffer.catalog, first.id, { organisationId: null }, NOW)
  expect((await coffer.parts(first.id))[0]?.suspect).toBeNull()
  expect(await suspects()).toEqual([])

  const second = await seal(16, 4_000)
  const third = await seal(15, 4_100)
  const fourth = await seal(14, 3_900)
  expect(await suspects()).toEqual([second, third, fourth])
  await seal(13, 4_000)
  expect(await suspects()).toEqual([])
  await seal(12, 3_000)
  expect(await suspects()).toEqual([])
})
