import { expect, test } from 'vitest'
import { isAllowEntry, databasePolicy, egressPolicy } from '../../shared/egress/policy.ts'
import { vetHost, type Lookup } from '../../shared/egress/vet-host.ts'
import { vetUrl } from '../../shared/egress/vet-url.ts'

const PUBLIC = egressPolicy([])
const answers =
  (...addresses: string[]): Lookup =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address })))
const unasked: Lookup = (host) => Promise.reject(new Error(`a resolver was asked for ${host}`))
const refused = expect.objectContaining({ code: 'EGRESS_REFUSED' }) as Error

/** What an address may be written as that leads to this machine, a private network, or nobody in particular. */
const PRIVATE = [
  ...['127.0.0.1', '127.255.255.254', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1'],
  ...['192.0.0.8', '192.0.2.1', '198.18.0.1', '198.51.100.7', '203.0.113.9', '240.0.0.1', '192.88.99.1'],
  ...['::1', 'fc00::1', 'fd12:3456::1', '2001:db8::1', '2002:7f00:1::', '2001:0:1::1', '::127.0.0.1', '100::1'],
  ...['::ffff:127.0.0.1', '::ffff:10.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::1', '0:0:0:0:0:ffff:c0a8:101', '3fff::1'],
  ...['2130706433', '0x7f000001', '017700000001', '0x7f.1', '127.1', '0177.0.0.1', '[::1]', '[::ffff:7f00:1]'],
]
const NEVER = [
  ...['169.254.169.254', '169.254.0.1', '0.0.0.0', '0', '224.0.0.1', '255.255.255.255', '100.100.100.200'],
  ...['168.63.129.16', '192.0.0.192', '::', 'fe80::1', 'ff02::1', 'fd00:ec2::254', 'fd20:ce::254', '2852039166'],
  ...['::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe', '0xa9fea9fe', '0251.0376.0251.0376', '::ffff:0.0.0.0'],
]

test.each([...PRIVATE, ...NEVER])('F40 %s is refused without asking a resolver', async (host) => {
  await expect(vetHost(host, PUBLIC, unasked)).rejects.toThrow(refused)
})

test.each([...PRIVATE, ...NEVER].filter((host) => /^[\da-f:.]+$/.test(host) && /[.:].*[.:]/.test(host)))(
  'F40 a name that leads to %s is refused, also when another of its addresses is public',
  async (address) => {
    await expect(vetHost('a.example.com', PUBLIC, answers('93.184.215.14', address))).rejects.toThrow(refused)
  },
)

test.each([
  '8.8.8.8',
  '93.184.215.14',
  '2606:4700::1111',
  '64:ff9b::808:808',
  '::ffff:8.8.8.8',
  '172.32.0.1',
  '100.128.0.1',
])('%s belongs to the public internet', async (host) => {
  await expect(vetHost(host, PUBLIC, unasked)).resolves.toHaveLength(1)
})

test.each(NEVER)('F40 %s is refused even where the operator has allowed everything, and to databases', async (host) => {
  await expect(vetHost(host, egressPolicy(['0.0.0.0/0', '::/0']), unasked)).rejects.toThrow(refused)
  await expect(vetHost(host, databasePolicy, unasked)).rejects.toThrow(refused)
})

test.each(['metadata.google.internal', 'METADATA.google.internal.', 'instance-data', 'metadata'])(
  'F40 the name %s is refused whatever it leads to',
  async (host) => {
    for (const policy of [PUBLIC, egressPolicy([host.replace(/\.$/, '')]), databasePolicy])
      await expect(vetHost(host, policy, unasked)).rejects.toThrow(refused)
  },
)

test('a private address is allowed by its network, or by the name that leads to it, and by nothing near it', async () => {
  const policy = egressPolicy(['10.1.0.0/16', 'DB.internal', 'fd00:1::/32'])
  await expect(vetHost('10.1.2.3', policy, unasked)).resolves.toEqual([{ address: '10.1.2.3', family: 4 }])
  await expect(vetHost('::ffff:10.1.2.3', policy, unasked)).resolves.toEqual([{ address: '10.1.2.3', family: 4 }])
  await expect(vetHost('fd00:1::5', policy, unasked)).resolves.toHaveLength(1)
  await expect(vetHost('db.internal.', policy, answers('192.168.0.9', 'fd00:2::9'))).resolves.toHaveLength(2)
  for (const host of ['10.2.0.1', 'fd00:2::5']) await expect(vetHost(host, policy, unasked)).rejects.toThrow(refused)
  await expect(vetHost('evil.db.internal', policy, answers('192.168.0.9'))).rejects.toThrow(refused)
})

test('a database of the whole installation may be anywhere but where clouds hand out credentials', async () => {
  for (const host of ['127.0.0.1', '10.0.0.1', 'fd12::1', '8.8.8.8'])
    await expect(vetHost(host, databasePolicy, unasked)).resolves.toHaveLength(1)
  await expect(vetHost('db', databasePolicy, answers('10.0.0.1', '169.254.169.254'))).rejects.toThrow(refused)
})

test('a host that is not found, or has no address at all, is not connected to', async () => {
  const unknown = () => Promise.reject(new Error('ENOTFOUND'))
  await expect(vetHost('no.example.com', PUBLIC, unknown)).rejects.toMatchObject({ code: 'HOST_UNKNOWN' })
  await expect(vetHost('no.example.com', PUBLIC, answers())).rejects.toThrow(refused)
  await expect(vetHost('no.example.com', PUBLIC, answers('fe80::1%eth0'))).rejects.toThrow(refused)
})

test.each([
  ['http://a.example.com/', 'is plain http'],
  ['https://a.example.com:8443/', 'has a port'],
  ['https://user@a.example.com/', 'holds a user'],
  ['https://:canary@a.example.com/', 'holds a user'],
  ['ftp://a.example.com/', 'is not one of https'],
  ['file:///etc/passwd', 'is not one of https'],
  ['a.example.com/canary', 'is not one of https'],
])('%s is no address to send to, and the refusal does not repeat it', async (url, why) => {
  const refusal: unknown = await vetUrl(url, PUBLIC, answers('8.8.8.8')).catch((error: unknown) => error)
  expect(refusal).toMatchObject({ code: 'EGRESS_REFUSED', message: expect.stringContaining(why) as string })
  expect(String(refusal)).not.toContain('canary')
})

test('what the operator has named may be reached by http and at any port', async () => {
  const policy = egressPolicy(['127.0.0.1/32', 'hooks.internal'])
  await expect(vetUrl('http://127.0.0.1:8000/', policy, unasked)).resolves.toHaveProperty('addresses')
  await expect(vetUrl('http://hooks.internal:9/', policy, answers('10.0.0.9'))).resolves.toHaveProperty('addresses')
  await expect(vetUrl('https://a.example.com/', policy, answers('8.8.8.8'))).resolves.toHaveProperty('addresses')
})

test.each([
  ['10.0.0.0/8', true],
  ['fd00::/8', true],
  ['db.internal', true],
  ['10.0.0.1', true],
  ['10.0.0.0/33', false],
  ['10.0.0/8', false],
  ['*', false],
  ['https://db.internal', false],
])('%s is an entry of COFFER_EGRESS_ALLOW: %s', (entry, is) => {
  expect(isAllowEntry(entry)).toBe(is)
})
