import { describe, expect, test } from 'vitest'
import { parseEnvironmentName, parseTarget, pickService, pickServiceBackups } from '../../cli/names.ts'
import { pairUp } from '../../cli/restore-plan.ts'
import type { ServiceInstanceBackup } from '../../cli/resources/backups.ts'
import type { ServiceInstance } from '../../cli/resources/environments.ts'

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const refusal = (code: string, message: RegExp): Error =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error

function service(n: number, type: string, prefix: string): ServiceInstance {
  return { uuid: uuid(n), environment: uuid(99), type, prefix }
}

function backupOf({ uuid: id, type, prefix }: ServiceInstance, n: number): ServiceInstanceBackup {
  const run = { state: 'COMPLETED', success: 'SUCCESS', attempt: 1, errors: [], warnings: [] }
  return { uuid: uuid(n), backup: uuid(98), service_instance: id, service_type: type, prefix, ...run }
}

const DATABASE = service(1, 'DATABASE', 'DEFAULT')
const MEDIA = service(2, 'STORAGE', 'DEFAULT')
const REPORTS = service(3, 'DATABASE', 'REPORTS')
const ALL = [DATABASE, MEDIA, REPORTS]

test('an environment is named app/env and nothing else', () => {
  expect(parseEnvironmentName('shop/live')).toEqual({ app: 'shop', env: 'live' })
  for (const name of ['shop', 'shop/', '/live', 'a/b/c', '', '/'])
    expect(() => parseEnvironmentName(name)).toThrow(refusal('USAGE_INVALID', /names no environment: write app\/env/))
})

test('a target is an environment, or one with what follows the first colon', () => {
  expect(parseTarget('shop/test')).toEqual({ environment: 'shop/test', service: null })
  expect(parseTarget('shop/test:STORAGE:DEFAULT')).toEqual({ environment: 'shop/test', service: 'STORAGE:DEFAULT' })
})

describe('a service', () => {
  test.each([
    ['REPORTS', REPORTS],
    ['DATABASE:DEFAULT', DATABASE],
    ['storage:DEFAULT', MEDIA],
    [uuid(2), MEDIA],
  ])('is found by %s', (name, found) => {
    expect(pickService(ALL, name, 'shop/live')).toBe(found)
  })

  test('whose prefix two types have is asked for, not guessed', () => {
    const message = /"DEFAULT" in shop\/live may mean any of DATABASE:DEFAULT, STORAGE:DEFAULT: write which/
    expect(() => pickService(ALL, 'DEFAULT', 'shop/live')).toThrow(refusal('USAGE_INVALID', message))
  })

  test.each(['default', 'STORAGE:REPORTS', uuid(7), ''])('that is not there (%s) is told with what is', (name) => {
    const message = /^no service ".*" in shop\/live; there are DATABASE:DEFAULT, STORAGE:DEFAULT, DATABASE:REPORTS$/
    expect(() => pickService(ALL, name, 'shop/live')).toThrow(refusal('NOT_FOUND', message))
  })

  test('of a type that does not exist is wrong usage', () => {
    expect(() => pickService(ALL, 'CACHE:DEFAULT', 'shop/live')).toThrow(
      refusal('USAGE_INVALID', /"CACHE" is no service type/),
    )
  })
})

describe('the parts of a backup', () => {
  const parts = ALL.map((one, index) => backupOf(one, 11 + index))

  test('are all of it when none is named, and each once when named twice', () => {
    expect(pickServiceBackups(parts, [], 'it')).toEqual(parts)
    expect(pickServiceBackups(parts, ['REPORTS', uuid(13), uuid(3)], 'it')).toEqual([parts[2]])
  })

  test('go to the same prefix and type elsewhere', () => {
    const targets = [
      service(21, 'STORAGE', 'DEFAULT'),
      service(22, 'DATABASE', 'REPORTS'),
      service(23, 'DATABASE', 'DEFAULT'),
    ]
    expect(pairUp(parts, targets, null, 'shop/test').map((pair) => pair.service_instance)).toEqual([
      uuid(23),
      uuid(21),
      uuid(22),
    ])
  })

  test('go where they are sent, the type being their own where only a prefix is named', () => {
    const targets = [service(21, 'STORAGE', 'COPY'), service(22, 'DATABASE', 'COPY')]
    const pair = [{ service_instance_backup: uuid(11), service_instance: uuid(22) }]
    expect(pairUp(parts.slice(0, 1), targets, 'COPY', 'shop/test')).toEqual(pair)
    expect(pairUp(parts.slice(0, 1), targets, 'DATABASE:COPY', 'shop/test')).toEqual(pair)
  })

  test('never go into another type, two into one place, or nowhere', () => {
    expect(() => pairUp(parts.slice(0, 1), ALL, 'STORAGE:DEFAULT', 'x')).toThrow(
      refusal('USAGE_INVALID', /DATABASE DEFAULT cannot .* STORAGE DEFAULT/),
    )
    expect(() => pairUp([...parts.slice(0, 1), ...parts.slice(2)], ALL, 'DEFAULT', 'x')).toThrow(
      refusal('USAGE_INVALID', /same place in x/),
    )
    expect(() => pairUp(parts, [], null, 'x')).toThrow(refusal('NOT_FOUND', /"DATABASE:DEFAULT" in x/))
  })
})
