import { InvalidArgumentError } from 'commander'
import { expect, test } from 'vitest'
import { parseAgeRule, parseSchedule, parseTiers } from '../../cli/plan-options.ts'

test.each([
  ['night=daily 01:00-05:00', { name: 'night', kind: 'daily', from: '01:00', until: '05:00' }],
  ['w=weekly sunday 23:00-01:00', { name: 'w', kind: 'weekly', day: 'sunday', from: '23:00', until: '01:00' }],
  ['often=cron 0 */6 * * *', { name: 'often', kind: 'cron', cron: '0 */6 * * *' }],
  // What the values mean is the producer's to say.
  ['x=cron every day', { name: 'x', kind: 'cron', cron: 'every day' }],
])('the schedule %s is understood, and added to those before it', (text, rule) => {
  expect(parseSchedule(text)).toEqual([rule])
  expect(parseSchedule(text, parseSchedule('a=cron 1 2 3 4 5'))).toEqual([
    { name: 'a', kind: 'cron', cron: '1 2 3 4 5' },
    rule,
  ])
})

test('a schedule after --no-schedule begins a list', () => {
  expect(parseSchedule('x=cron every day', false)).toEqual([{ name: 'x', kind: 'cron', cron: 'every day' }])
})

test.each([
  '',
  'night',
  'night=',
  '=daily 01:00-05:00',
  'n=daily',
  'n=daily 1-5',
  'n=weekly 01:00-05:00',
  'n=cron',
  'n=daily 01:00-05:00 ',
])('the schedule "%s" is refused with the three forms that there are', (text) => {
  expect(() => parseSchedule(text)).toThrow(InvalidArgumentError)
  expect(() => parseSchedule(text)).toThrow('NAME=daily 01:00-05:00, NAME=weekly sunday 01:00-05:00 or NAME=cron')
})

test('tiers get the usual labels', () => {
  expect(parseTiers('hour=24,day=7,week=4,month=12,year=3').map(({ label, per, keep }) => [label, per, keep])).toEqual([
    ['hourly', 'hour', 24],
    ['daily', 'day', 7],
    ['weekly', 'week', 4],
    ['monthly', 'month', 12],
    ['yearly', 'year', 3],
  ])
})

test.each(['', 'day', 'day=0', 'day=-1', 'day=7,', 'days=7', 'day=7 week=4', 'day=1e3', 'day=999999'])(
  'the tiers "%s" are refused',
  (text) => expect(() => parseTiers(text)).toThrow(InvalidArgumentError),
)

test('an age rule is days and a count', () => {
  expect(parseAgeRule('30/3')).toEqual({ keep_days: 30, keep_newest: 3 })
  for (const text of ['', '30', '30/', '/3', '-30/3', '30/-3', '30 / 3', '30/3/1'])
    expect(() => parseAgeRule(text), text).toThrow(InvalidArgumentError)
})
