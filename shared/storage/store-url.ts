import { fileURLToPath } from 'node:url'
import { CofferError } from '../errors.ts'
import { endpointProblem } from './endpoint.ts'

export interface FileSettings {
  kind: 'file'
  root: string
}

export interface S3Settings {
  kind: 's3'
  bucket: string
  /** Without slashes at its ends; the empty string: none. */
  prefix: string
  /** undefined: from the SDK's usual chain. */
  region: string | undefined
  endpoint: URL | undefined
  forcePathStyle: boolean
  /** The empty string: the header is not sent. */
  storageClass: string
  sse: '' | 'AES256' | 'aws:kms' | 'aws:kms:dsse'
  kmsKeyId: string | undefined
  /**
   * `when_required` sends Content-MD5 and a signed SHA-256 of each request, which every S3-compatible server knows;
   * `when_supported` sends and compares CRC32 instead.
   */
  checksum: 'when_required' | 'when_supported'
  maxParts: number
}

export type StoreSettings = FileSettings | S3Settings

const MAX_PARTS = 10_000
const SSE_MODES = ['', 'AES256', 'aws:kms', 'aws:kms:dsse'] as const
const CHECKSUM_MODES = ['when_required', 'when_supported'] as const
const S3_PARAMETERS = [
  'region',
  'endpoint',
  'forcePathStyle',
  'storageClass',
  'sse',
  'kmsKeyId',
  'checksum',
  'maxParts',
  'allowInsecure',
]

/**
 * `file:///folder` or `s3://bucket/prefix?region=&endpoint=&forcePathStyle=&storageClass=&sse=&kmsKeyId=&checksum=&maxParts=&allowInsecure=`.
 *
 * Without `endpoint` it is AWS. With one, `region` is us-east-1 and `forcePathStyle` true unless given. `storageClass` is
 * STANDARD_IA and `sse` AES256 unless given; empty means not sent. `allowInsecure=true` permits plain http beyond loopback.
 *
 * @throws CONFIG_INVALID with all problems in one message, which never repeats the URL itself.
 */
export function parseStoreUrl(text: string): StoreSettings {
  const problems: string[] = []
  const url = URL.parse(text)
  const settings = url ? readUrl(url, problems) : undefined
  if (!url) problems.push('it is not a URL')
  if (settings && problems.length === 0) return settings
  throw new CofferError('CONFIG_INVALID', `the store's URL is not usable: ${problems.join('; ')}`, {
    details: { problems },
  })
}

function readUrl(url: URL, problems: string[]): StoreSettings | undefined {
  if (url.username || url.password) {
    problems.push('it must not hold credentials; give them by the usual AWS environment variables or files')
  }
  if (url.hash) problems.push('it must not have a fragment (#)')
  if (url.protocol === 'file:') return readFileUrl(url, problems)
  if (url.protocol === 's3:') return readS3Url(url, problems)
  problems.push(`the scheme ${url.protocol} is neither file: nor s3:`)
  return undefined
}

function readFileUrl(url: URL, problems: string[]): FileSettings | undefined {
  if (url.host !== '') problems.push('a folder needs three slashes and an absolute path, as in file:///srv/backups')
  if (url.search) problems.push('file:// takes no parameters')
  if (/%2f|%00/i.test(url.pathname)) problems.push('the path must not hold an encoded slash or NUL')
  if (problems.length > 0) return undefined
  const root = fileURLToPath(url).replace(/\/+$/, '')
  if (root === '') problems.push('the folder must not be the root of the file system')
  return { kind: 'file', root }
}

function readS3Url(url: URL, problems: string[]): S3Settings {
  const parameters = url.searchParams
  for (const name of new Set(parameters.keys())) {
    if (!S3_PARAMETERS.includes(name)) problems.push(`the parameter ${name} is unknown`)
    else if (parameters.getAll(name).length > 1) problems.push(`the parameter ${name} is given twice`)
  }
  const bucket = url.hostname
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(bucket) || url.port) {
    problems.push('the bucket is missing or is not a name of 3 to 63 letters, digits, dots and dashes')
  }
  const sse = oneOf(parameters, 'sse', SSE_MODES, 'AES256', problems)
  const kmsKeyId = parameters.get('kmsKeyId') ?? undefined
  if (kmsKeyId && !sse.startsWith('aws:kms')) problems.push('kmsKeyId needs sse=aws:kms')
  const endpoint = readEndpoint(parameters, problems)
  return {
    kind: 's3',
    bucket,
    prefix: readPrefix(url.pathname, problems),
    region: parameters.get('region') ?? (endpoint ? 'us-east-1' : undefined),
    endpoint,
    forcePathStyle: readBoolean(parameters, 'forcePathStyle', endpoint !== undefined, problems),
    storageClass: parameters.get('storageClass') ?? 'STANDARD_IA',
    sse,
    kmsKeyId,
    checksum: oneOf(parameters, 'checksum', CHECKSUM_MODES, 'when_required', problems),
    maxParts: readMaxParts(parameters, problems),
  }
}

function readEndpoint(parameters: URLSearchParams, problems: string[]): URL | undefined {
  const allowInsecure = readBoolean(parameters, 'allowInsecure', false, problems)
  const text = parameters.get('endpoint')
  if (text === null) return undefined
  const endpoint = URL.parse(text) ?? undefined
  const problem = endpoint
    ? endpointProblem(endpoint, allowInsecure)
    : 'endpoint is not a URL such as https://host:port'
  if (problem) problems.push(problem)
  return endpoint
}

function readPrefix(pathname: string, problems: string[]): string {
  let decoded = ''
  try {
    decoded = decodeURIComponent(pathname)
  } catch {
    problems.push('the prefix is not validly percent-encoded')
  }
  const prefix = decoded.replace(/^\/+|\/+$/g, '')
  if (prefix !== '' && !prefix.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')) {
    problems.push('the prefix must not hold empty parts, "." or ".."')
  }
  return prefix
}

function readMaxParts(parameters: URLSearchParams, problems: string[]): number {
  const text = parameters.get('maxParts')
  if (text === null) return MAX_PARTS
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > MAX_PARTS) problems.push(`maxParts must be a whole number from 1 to ${MAX_PARTS}`)
  return value
}

function readBoolean(parameters: URLSearchParams, name: string, otherwise: boolean, problems: string[]): boolean {
  return oneOf(parameters, name, ['true', 'false'], String(otherwise), problems) === 'true'
}

function oneOf<T extends string>(
  parameters: URLSearchParams,
  name: string,
  choices: readonly T[],
  otherwise: NoInfer<T> | string,
  problems: string[],
): T {
  const text = parameters.get(name) ?? otherwise
  const choice = choices.find((candidate) => candidate === text)
  if (choice === undefined) {
    problems.push(`${name} must be one of ${choices.map((candidate) => candidate || '(empty)').join(', ')}`)
  }
  return choice ?? (otherwise as T)
}
