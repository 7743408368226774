import { expect, test } from 'vitest'
import { standing, type Standing } from '../../../shared/domain/standing.ts'
import { OUTCOMES, STATES, type Outcome, type State } from '../../../shared/domain/states.ts'

type Flag = 'corrupt' | 'lost' | 'suspect' | 'unverified'

const standingOf = (state: State, success: Outcome | null, flags: Flag[] = []) =>
  standing({
    state,
    success,
    corrupt: flags.includes('corrupt'),
    lost: flags.includes('lost'),
    suspect: flags.includes('suspect'),
    unverified: flags.includes('unverified'),
  })

test.each<[Outcome, Flag[], Standing]>([
  ['SUCCESS', [], 'good'],
  ['SUCCESS', ['suspect'], 'degraded'],
  ['SUCCESS', ['corrupt'], 'bad'],
  ['SUCCESS', ['lost'], 'bad'],
  ['SUCCESS', ['unverified'], 'bad'],
  ['PARTIAL', ['unverified'], 'bad'],
  ['SUCCESS', ['suspect', 'corrupt'], 'bad'],
  ['SUCCESS', ['suspect', 'lost'], 'bad'],
  ['PARTIAL', [], 'degraded'],
  ['PARTIAL', ['suspect'], 'degraded'],
  ['PARTIAL', ['corrupt'], 'bad'],
  ['PARTIAL', ['lost'], 'bad'],
  ['FAILURE', [], 'bad'],
  ['FAILURE', ['suspect'], 'bad'],
  ['CANCELLED', [], 'bad'],
  ['CANCELLED', ['suspect'], 'bad'],
])('a completed one that ended %s, flags %j, is %s', (success, flags, expected) => {
  expect(standingOf('COMPLETED', success, flags)).toBe(expected)
})

test('nothing but a completed one is ever good or degraded', () => {
  for (const state of STATES.filter((other) => other !== 'COMPLETED'))
    for (const success of [null, ...OUTCOMES]) expect(standingOf(state, success)).toBe('bad')
  expect(standingOf('COMPLETED', null)).toBe('bad')
})
