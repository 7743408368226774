import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CofferError } from '../shared/errors.ts'

export interface Surroundings {
  env: { COFFER_URL?: string; COFFER_TOKEN?: string; COFFER_DATA_DIR?: string }
  /** The folder that holds this program, and the one it was called in. */
  checkout: string
  cwd: string
}

/** Where the producer is, with which token, and where both were read, for messages. */
export interface Address {
  url: URL
  urlFrom: string
  token: string
  tokenFrom: string
}

/**
 * COFFER_URL and COFFER_TOKEN, or what a local `npm run up` left in its data folder (`run.json`, `admin-token`). The local token is sent to
 * the local producer only. Throws CONFIG_INVALID (also when there is no token) or PRODUCER_UNREACHABLE (no producer is known).
 */
export function findProducer({ env, checkout, cwd }: Surroundings): Address {
  const dataDirs = env.COFFER_DATA_DIR
    ? [env.COFFER_DATA_DIR]
    : [...new Set([checkout, cwd])].map((dir) => join(dir, '.coffer'))
  const local = env.COFFER_URL && env.COFFER_TOKEN ? null : readLocal(dataDirs)
  if (!env.COFFER_URL && !local) {
    const looked = dataDirs.map((dir) => join(dir, 'run.json')).join(' and ')
    throw new CofferError(
      'PRODUCER_UNREACHABLE',
      `no producer is known: COFFER_URL is not set and ${looked} names none`,
    )
  }
  const found = env.COFFER_URL
    ? { url: parseUrl(env.COFFER_URL, 'COFFER_URL'), urlFrom: 'COFFER_URL' }
    : { url: parseUrl(local?.url ?? '', local?.runFile ?? ''), urlFrom: local?.runFile ?? '' }
  if (env.COFFER_TOKEN)
    return { ...found, token: parseToken(env.COFFER_TOKEN, 'COFFER_TOKEN'), tokenFrom: 'COFFER_TOKEN' }
  return { ...found, ...localToken(found.url, local) }
}

interface Local {
  url: string
  runFile: string
  tokenFile: string
}

function readLocal(dataDirs: readonly string[]): Local | null {
  for (const dir of dataDirs) {
    const runFile = join(dir, 'run.json')
    const text = readIfThere(runFile)
    if (text === null) continue
    const url = urlIn(text, runFile)
    if (url !== null) return { url, runFile, tokenFile: join(dir, 'admin-token') }
  }
  return null
}

function urlIn(text: string, runFile: string): string | null {
  try {
    const parsed: unknown = JSON.parse(text)
    const url = typeof parsed === 'object' && parsed !== null && 'url' in parsed ? parsed.url : null
    return typeof url === 'string' ? url : null
  } catch (cause) {
    throw new CofferError('CONFIG_INVALID', `${runFile} is not JSON`, { cause })
  }
}

function localToken(url: URL, local: Local | null): { token: string; tokenFrom: string } {
  if (!local || new URL(local.url).origin !== url.origin) {
    throw new CofferError(
      'CONFIG_INVALID',
      `no token for ${url.href}: COFFER_TOKEN is not set, and the admin token of a local "npm run up" is sent to that one only`,
    )
  }
  const text = readIfThere(local.tokenFile)
  if (text === null) {
    throw new CofferError(
      'CONFIG_INVALID',
      `no token for ${url.href}: COFFER_TOKEN is not set and ${local.tokenFile} does not exist`,
    )
  }
  return { token: parseToken(text, local.tokenFile), tokenFrom: local.tokenFile }
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) return null
    throw new CofferError(
      'CONFIG_INVALID',
      `cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
}

function parseUrl(text: string, from: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new CofferError('CONFIG_INVALID', `${from} is no http or https address`)
  }
  if (url.username || url.password) {
    throw new CofferError('CONFIG_INVALID', `${from} must not carry a user or password: give the token as COFFER_TOKEN`)
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/'
  url.search = ''
  url.hash = ''
  return url
}

function parseToken(text: string, from: string): string {
  const token = text.trim()
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CofferError(
      'CONFIG_INVALID',
      `${from} holds no token: it is empty or has characters that no header may carry`,
    )
  }
  return token
}
