import { expect, test } from 'vitest'
import { openLog } from '../../shared/log.ts'
import { scrub } from '../../shared/scrub.ts'

function logged(write: (log: ReturnType<typeof openLog>) => void): string {
  const lines: string[] = []
  write(openLog('test', 'trace', { write: (line) => lines.push(line) }))
  return lines.join('')
}

test('an error is logged with its message, code and causes, all without secrets', () => {
  const cause = new Error('connect to postgres://shop:hunter2@db/shop failed')
  const error = Object.assign(new Error('the dump failed', { cause }), {
    code: 'DUMP_FAILED',
    config: { password: 'hunter2' },
  })
  const line = logged((log) => log.warn({ err: error, run: 7 }, 'password=hunter2'))
  expect(JSON.parse(line)).toMatchObject({
    level: 'warn',
    name: 'test',
    run: 7,
    msg: 'password=[redacted]',
    err: {
      message: 'the dump failed',
      code: 'DUMP_FAILED',
      cause: { message: expect.stringContaining('shop:[redacted]@db') as string },
    },
  })
  expect(line).not.toContain('hunter2')
})

test.each([
  ['postgres://u:p%40ss@h:1/d', 'postgres://u:[redacted]@h:1/d'],
  ['redis://:secret@h', 'redis://:[redacted]@h'],
  ['Authorization: Token abc.def', 'Authorization: Token [redacted]'],
  ['{"password": "a b"}', '{"password": [redacted]}'],
  ['?X-Amz-Signature=12ab&x=1', '?X-Amz-Signature=[redacted]&x=1'],
  ['AGE-SECRET-KEY-1QQQQ', '[redacted]'],
  ['host=db.example.com user=shop', 'host=db.example.com user=shop'],
])('scrub strikes out what is secret in %j', (text, expected) => {
  expect(scrub(text)).toBe(expected)
})

test('secrets in nested fields of a line are struck out', () => {
  expect(logged((log) => log.info({ deep: { list: ['postgres://a:hunter2@b/c'] } }, 'x'))).not.toContain('hunter2')
})
