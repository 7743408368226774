import { expect, test } from 'vitest'
import { bucketOf, type Period } from '../../../shared/domain/retention/bucket.ts'

const local = (date: string, hour = '02') => ({ bucketDate: date, localHour: `${date}T${hour}` })

test.each<[Period, string]>([
  ['hour', '2026-03-01T23'],
  ['day', '2026-03-01'],
  ['week', '2026-W09'],
  ['month', '2026-03'],
  ['year', '2026'],
])('per %s, 23:59 on Sunday, 1 March 2026, falls into %s', (per, bucket) => {
  expect(bucketOf(per, local('2026-03-01', '23'))).toBe(bucket)
})

test.each([
  ['2024-12-29', '2024-W52'],
  ['2024-12-30', '2025-W01'],
  ['2025-12-28', '2025-W52'],
  ['2025-12-29', '2026-W01'],
  ['2026-01-04', '2026-W01'],
  ['2026-01-05', '2026-W02'],
  ['2026-12-31', '2026-W53'],
  ['2027-01-03', '2026-W53'],
  ['2027-01-04', '2027-W01'],
  ['1969-12-31', '1970-W01'],
])('the ISO week of %s is %s', (date, week) => {
  expect(bucketOf('week', local(date))).toBe(week)
})
