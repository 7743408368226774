import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { S3Error } from './s3-error.ts'

export interface Credentials {
  accessKeyId: string
  secretAccessKey: string
}

const SKEW_MS = 15 * 60_000

interface Signed {
  credential: string
  signedHeaders: string
  signature: string
  date: string
  payloadHash: string
  query: [string, string][]
}

/** Verifies a header or query signature; returns the payload hash that was signed. Time in ms since 1970. */
export function verifySignature(req: IncomingMessage, credentials: Credentials, now: number): string {
  const url = new URL(req.url ?? '/', 'http://host')
  const query = [...url.searchParams.entries()]
  const signed = query.some(([name]) => name === 'X-Amz-Signature')
    ? fromQuery(query, now)
    : fromHeaders(req, query, now)

  const [accessKeyId = '', ...scopeParts] = signed.credential.split('/')
  if (accessKeyId !== credentials.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', `The AWS Access Key Id ${accessKeyId} does not exist in our records.`)
  }
  const canonical = [
    req.method,
    (req.url ?? '/').split('?')[0],
    canonicalQuery(signed.query),
    ...signed.signedHeaders.split(';').map((name) => `${name}:${headerText(req, name)}`),
    '',
    signed.signedHeaders,
    signed.payloadHash,
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', signed.date, scopeParts.join('/'), sha256(canonical)].join('\n')
  const key = scopeParts.reduce<string | Buffer>(
    (secret, part) => hmac(secret, part),
    `AWS4${credentials.secretAccessKey}`,
  )
  const expected = hmac(key, toSign)
  const given = Buffer.from(signed.signature, 'hex')
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the one you provided.',
    )
  }
  return signed.payloadHash
}

function fromHeaders(req: IncomingMessage, query: [string, string][], now: number): Signed {
  const header = req.headers.authorization
  if (header === undefined) throw new S3Error('AccessDenied', 'Access Denied')
  const match = /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)$/.exec(header)
  if (!match) throw new S3Error('InvalidRequest', 'The authorization header is malformed.')
  const [, credential = '', signedHeaders = '', signature = ''] = match
  const date = headerText(req, 'x-amz-date')
  if (Math.abs(parseDate(date) - now) > SKEW_MS) {
    throw new S3Error(
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    )
  }
  const payloadHash = headerText(req, 'x-amz-content-sha256')
  if (payloadHash === '') throw new S3Error('InvalidRequest', 'Missing required header: x-amz-content-sha256')
  return { credential, signedHeaders, signature, date, payloadHash, query }
}

function fromQuery(query: [string, string][], now: number): Signed {
  const get = (name: string) => query.find(([each]) => each === name)?.[1] ?? ''
  const date = get('X-Amz-Date')
  if (now > parseDate(date) + Number(get('X-Amz-Expires')) * 1000)
    throw new S3Error('AccessDenied', 'Request has expired')
  return {
    credential: get('X-Amz-Credential'),
    signedHeaders: get('X-Amz-SignedHeaders'),
    signature: get('X-Amz-Signature'),
    date,
    payloadHash: 'UNSIGNED-PAYLOAD',
    query: query.filter(([name]) => name !== 'X-Amz-Signature'),
  }
}

function canonicalQuery(query: [string, string][]): string {
  const pairs = query.map(([name, value]) => `${encode(name)}=${encode(value)}`)
  return pairs.sort((a, b) => (a < b ? -1 : 1)).join('&')
}

const encode = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

const headerText = (req: IncomingMessage, name: string) =>
  [req.headers[name] ?? ''].flat().join(',').trim().replace(/ +/g, ' ')

/** `20261123T164154Z`; NaN, and so refused by every comparison that must hold, when it is of another shape. */
function parseDate(text: string): number {
  const time = Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  if (Number.isNaN(time)) throw new S3Error('AccessDenied', 'AWS authentication requires a valid date')
  return time
}

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
