import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CofferError } from '../shared/errors.ts'
import { readLogins, type Logins } from './logins.ts'

export interface Surroundings {
  env: { COFFER_URL?: string; COFFER_TOKEN?: string; COFFER_DATA_DIR?: string }
  /** The folder that holds this program, and the one it was called in. */
  checkout: string
  cwd: string
  /** Where `coffer login` keeps tokens. */
  loginsFile: string
}

/** Where the producer is, with which token, and where both were read, for messages. */
export interface Address {
  url: URL
  urlFrom: string
  token: string
  tokenFrom: string
  /** What the user should know beside: a token that was not used. */
  remark?: string
}

type Place = Pick<Address, 'url' | 'urlFrom'>

/**
 * COFFER_URL; else where `coffer login` went last, unless COFFER_DATA_DIR asks for a local `npm run up`; else what that has left in its data
 * folder (`run.json`, `admin-token`). COFFER_TOKEN goes to COFFER_URL, or to a local `up` that the user has chosen by COFFER_DATA_DIR or by
 * the checkout of this command. Where somebody else may have chosen, it goes nowhere: every other token is sent to its own address only.
 * @throws CONFIG_INVALID (also when there is no token), PRODUCER_UNREACHABLE (no producer is known)
 */
export function findProducer({ env, checkout, cwd, loginsFile }: Surroundings): Address {
  const given = env.COFFER_TOKEN
  if (env.COFFER_URL && given) {
    const url = parseUrl(env.COFFER_URL, 'COFFER_URL')
    return { url, urlFrom: 'COFFER_URL', token: parseToken(given, 'COFFER_TOKEN'), tokenFrom: 'COFFER_TOKEN' }
  }
  const ownDataDir = env.COFFER_DATA_DIR ? env.COFFER_DATA_DIR : join(checkout, '.coffer')
  const dataDirs = env.COFFER_DATA_DIR ? [ownDataDir] : [...new Set([ownDataDir, join(cwd, '.coffer')])]
  const logins = readLogins(loginsFile)
  const local = env.COFFER_URL || (logins.current !== null && !env.COFFER_DATA_DIR) ? null : readLocal(dataDirs)
  const place = placeOf(env, logins, local, loginsFile)
  if (!place) {
    const looked = dataDirs.map((dir) => join(dir, 'run.json')).join(' and ')
    throw new CofferError(
      'PRODUCER_UNREACHABLE',
      `no producer is known: COFFER_URL is not set, nobody has logged in, and ${looked} names none`,
    )
  }
  if (given && local?.dataDir === ownDataDir)
    return { ...place, token: parseToken(given, 'COFFER_TOKEN'), tokenFrom: 'COFFER_TOKEN' }
  const kept = logins.tokens[place.url.href]
  const found =
    kept === undefined
      ? localToken(place.url, local ?? readLocal(dataDirs))
      : { token: parseToken(kept, loginsFile), tokenFrom: loginsFile }
  if (!given) return { ...place, ...found }
  const remark = `COFFER_TOKEN is ignored: ${place.url.href} comes from ${place.urlFrom}, not from COFFER_URL; the token is that of ${found.tokenFrom}`
  return { ...place, ...found, remark }
}

function placeOf(env: Surroundings['env'], { current }: Logins, local: Local | null, loginsFile: string): Place | null {
  if (env.COFFER_URL) return { url: parseUrl(env.COFFER_URL, 'COFFER_URL'), urlFrom: 'COFFER_URL' }
  if (local) return { url: parseUrl(local.url, local.runFile), urlFrom: local.runFile }
  return current === null || env.COFFER_DATA_DIR ? null : { url: parseUrl(current, loginsFile), urlFrom: loginsFile }
}

interface Local {
  url: string
  dataDir: string
  runFile: string
  tokenFile: string
}

function readLocal(dataDirs: readonly string[]): Local | null {
  for (const dir of dataDirs) {
    const runFile = join(dir, 'run.json')
    const text = readIfThere(runFile)
    if (text === null) continue
    const url = urlIn(text, runFile)
    if (url !== null) return { url, dataDir: dir, runFile, tokenFile: join(dir, 'admin-token') }
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
      `no token for ${url.href}: COFFER_TOKEN is not set for it with COFFER_URL, nobody has logged in there, and the admin token of a local "npm run up" is sent to that one only`,
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

export function parseUrl(text: string, from: string): URL {
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

export function parseToken(text: string, from: string): string {
  const token = text.trim()
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CofferError(
      'CONFIG_INVALID',
      `${from} holds no token: it is empty or has characters that no header may carry`,
    )
  }
  return token
}
