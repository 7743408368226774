import { describe, expect, test } from 'vitest'
import { backoffSeconds } from '../../shared/domain/backoff.ts'
import { canonicalJson } from '../../shared/domain/canonical-json.ts'
import { attemptPrefix, parseKey } from '../../shared/domain/keys.ts'
import {
  outcomeOfBackup,
  policyClassOf,
  type Outcome,
  type PolicyClass,
  type Trigger,
} from '../../shared/domain/states.ts'

test.each<[Outcome[], Outcome]>([
  [['SUCCESS', 'SUCCESS'], 'SUCCESS'],
  [['SUCCESS', 'PARTIAL'], 'PARTIAL'],
  [['SUCCESS', 'FAILURE'], 'PARTIAL'],
  [['PARTIAL', 'CANCELLED'], 'PARTIAL'],
  [['FAILURE', 'FAILURE'], 'FAILURE'],
  [['FAILURE', 'CANCELLED'], 'FAILURE'],
  [['CANCELLED', 'CANCELLED'], 'CANCELLED'],
  [[], 'FAILURE'],
])('siblings that ended %j make the backup %s', (siblings, expected) => {
  expect(outcomeOfBackup(siblings)).toBe(expected)
})

test.each<[Trigger, boolean, PolicyClass]>([
  ['MANUAL', false, 'on_demand'],
  ['MANUAL', true, 'temporary'],
  ['SCHEDULED', false, 'scheduled'],
  ['UPLOAD', false, 'on_demand'],
  ['PRE_RESTORE', true, 'safety'],
])('trigger %s, own deletion date %s: policy class %s', (trigger, hasDate, expected) => {
  expect(policyClassOf(trigger, hasDate)).toBe(expected)
})

describe('object keys', () => {
  const place = {
    organisation: 'default',
    application: 'shop',
    environment: 'live',
    createdAt: new Date('2026-12-31T23:30:00Z'),
    backupId: '00000000-0000-4000-8000-000000000004',
    servicePrefix: 'MY_DB',
    serviceType: 'DATABASE' as const,
    attempt: 12,
  }

  test('lie under organisation, application, environment, month in UTC, backup and attempt', () => {
    expect(attemptPrefix(place)).toBe(
      'default/shop/live/2026/12/00000000-0000-4000-8000-000000000004/MY_DB-DATABASE.12/',
    )
  })

  test('tell whose they are, also below a prefix', () => {
    const { backupId, servicePrefix, serviceType, attempt } = place
    const parts = { backupId, servicePrefix, serviceType, attempt, name: 'manifest.json' }
    const attempts = attemptPrefix(place).slice(0, -'12/'.length)
    expect(parseKey(`${attemptPrefix(place)}manifest.json`)).toEqual({ ...parts, attempts })
    expect(parseKey(`below/${attemptPrefix(place)}manifest.json`)).toEqual({ ...parts, attempts: `below/${attempts}` })
  })

  test.each(['', 'manifest.json', 'a/b/c/2026/12/no-id/X-DATABASE.1/m', `${attemptPrefix(place)}deep/er`])(
    'of another shape (%j) are nobody’s',
    (key) => {
      expect(parseKey(key)).toBeNull()
    },
  )
})

test('canonical JSON sorts keys at every depth and leaves out what is undefined', () => {
  expect(canonicalJson({ b: [{ d: 1, c: null }], a: undefined, A: 'x"' })).toBe('{"A":"x\\"","b":[{"c":null,"d":1}]}')
})

test('the pause before the next attempt doubles up to an hour, spread by half of it', () => {
  expect([1, 2, 3, 4].map((attempt) => backoffSeconds(attempt, 30, 0.5))).toEqual([30, 60, 120, 240])
  expect(backoffSeconds(50, 30, 0.5)).toBe(3_600)
  expect([backoffSeconds(1, 30, 0), backoffSeconds(1, 30, 0.999)]).toEqual([15, expect.closeTo(45, 0)])
})
