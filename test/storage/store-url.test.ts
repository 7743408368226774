import { expect, test } from 'vitest'
import { openStore } from '../../shared/storage/open-store.ts'
import { parseStoreUrl } from '../../shared/storage/store-url.ts'

const problemsOf = (url: string): unknown => {
  try {
    return parseStoreUrl(url)
  } catch (error) {
    return (error as { details: { problems: unknown } }).details.problems
  }
}

test('a bucket alone is AWS with the defaults', () => {
  expect(parseStoreUrl('s3://bucket')).toEqual({
    kind: 's3',
    bucket: 'bucket',
    prefix: '',
    region: undefined,
    endpoint: undefined,
    forcePathStyle: false,
    storageClass: 'STANDARD_IA',
    sse: 'AES256',
    kmsKeyId: undefined,
    checksum: 'when_required',
    maxParts: 10_000,
  })
})

test('every setting is read, and an endpoint brings path style and a region', () => {
  const settings = 'storageClass=&sse=aws:kms&kmsKeyId=alias/x&checksum=when_supported&maxParts=1000'
  expect(parseStoreUrl(`s3://My_bucket.1/a/b%20c/?endpoint=https://s3.example:9000&${settings}`)).toEqual({
    kind: 's3',
    bucket: 'My_bucket.1',
    prefix: 'a/b c',
    region: 'us-east-1',
    endpoint: new URL('https://s3.example:9000'),
    forcePathStyle: true,
    storageClass: '',
    sse: 'aws:kms',
    kmsKeyId: 'alias/x',
    checksum: 'when_supported',
    maxParts: 1000,
  })
  expect(parseStoreUrl('s3://bucket?endpoint=https://x&region=eu-1&forcePathStyle=false&sse=')).toMatchObject({
    region: 'eu-1',
    forcePathStyle: false,
    sse: '',
  })
})

test('a folder is a path, with its escapes undone', () => {
  expect(parseStoreUrl('file:///srv/my%20backups/')).toEqual({ kind: 'file', root: '/srv/my backups' })
})

test.each([
  ['http://[::1]:9000', true],
  ['http://127.0.0.9:9000', true],
  ['http://localhost:9000', true],
  ['http://a.localhost', true],
  ['https://s3.example', true],
  ['http://s3.example', false],
  ['http://10.0.0.1', false],
  ['http://127.0.0.1.example', false],
  ['http://notlocalhost', false],
])('plain text to the endpoint %s is accepted without permission: %s', (endpoint, isAccepted) => {
  const url = `s3://bucket?endpoint=${endpoint}`
  if (isAccepted) expect(parseStoreUrl(url)).toMatchObject({ endpoint: new URL(endpoint) })
  else expect(problemsOf(url)).toEqual([expect.stringContaining('allowInsecure=true')])
  expect(parseStoreUrl(`${url}&allowInsecure=true`)).toMatchObject({ endpoint: new URL(endpoint) })
})

test('all problems are told at once', () => {
  const settings = 'sse=rot13&checksum=never&maxParts=0&forcePathStyle=yes&unknown=1&region=a&region=b&kmsKeyId=k'
  expect(problemsOf(`s3://x/a/../../%2e%2e/b?${settings}&endpoint=ftp://y`)).toHaveLength(9)
})

test.each([
  'nonsense',
  'http://bucket',
  's3://',
  's3://b',
  's3://bucket:80',
  's3://bucket/a%2f%2fb',
  's3://bucket/%ff',
  's3://bucket#x',
  's3://bucket?maxParts=10001',
  's3://bucket?endpoint=nonsense',
  's3://bucket?endpoint=https://u:p@host',
  's3://bucket?endpoint=https://host?a=b',
  'file://relative/path',
  'file:///',
  'file:///a?region=x',
  'file:///a%2fb',
])('%s is CONFIG_INVALID', (url) => {
  expect(() => openStore(url)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})

test('credentials in a URL are refused and not repeated', () => {
  const url = 's3://AKIA:canary-secret@bucket/prefix?maxParts=x'
  expect(problemsOf(url)).toHaveLength(2)
  expect(() => parseStoreUrl(url)).toThrow(/^(?!.*canary)/)
})

test('the address that a store shows has no settings', () => {
  expect(openStore('s3://bucket/prefix?endpoint=https://x&sse=').url).toBe('s3://bucket/prefix')
  expect(openStore('file:///srv/backups').url).toBe('file:///srv/backups')
})
