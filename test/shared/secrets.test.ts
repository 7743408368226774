import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { openSecrets } from '../../shared/secrets.ts'

const key = () => randomBytes(32).toString('base64')

test('what was encrypted opens with the same key and context only, and not when altered', () => {
  const secrets = openSecrets(key())
  const box = secrets.encrypt('postgres://u:p@h/d', 'row 1')
  expect(box.includes('postgres')).toBe(false)
  expect(secrets.decrypt(box, 'row 1')).toBe('postgres://u:p@h/d')
  expect(() => secrets.decrypt(box, 'row 2')).toThrow('does not open with COFFER_SECRET_KEY')
  expect(() => openSecrets(key()).decrypt(box, 'row 1')).toThrow('does not open with COFFER_SECRET_KEY')
  const altered = Buffer.from(box)
  altered[15] = (altered[15] ?? 0) ^ 1
  expect(() => secrets.decrypt(altered, 'row 1')).toThrow('does not open with COFFER_SECRET_KEY')
})

test('a MAC holds for its purpose and its text', () => {
  const secrets = openSecrets(key())
  const mac = secrets.mac('link', 'text')
  expect(secrets.checkMac('link', 'text', mac)).toBe(true)
  expect(secrets.checkMac('manifest', 'text', mac)).toBe(false)
  expect(secrets.checkMac('link', 'text2', mac)).toBe(false)
  expect(secrets.checkMac('link', 'text', mac.slice(1))).toBe(false)
})

test('of several secret keys the first signs and encrypts, and all of them verify and decrypt', () => {
  const [old, next] = [key(), key()]
  const [before, during, after] = [openSecrets(old), openSecrets(`${next},${old}`), openSecrets(next)]
  expect(during.decrypt(before.encrypt('url', 'row'), 'row')).toBe('url')
  expect(during.checkMac('manifest', 'text', before.mac('manifest', 'text'))).toBe(true)
  expect(after.decrypt(during.encrypt('url', 'row'), 'row')).toBe('url')
  expect(during.mac('manifest', 'text')).toBe(after.mac('manifest', 'text'))
  expect(after.checkMac('manifest', 'text', before.mac('manifest', 'text'))).toBe(false)
})
