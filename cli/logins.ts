import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { CofferError } from '../shared/errors.ts'

/** What `coffer login` has left: a token for each address, and the address that was logged into last. */
export const Logins = z.object({ current: z.string().nullable(), tokens: z.record(z.string(), z.string()) })
export type Logins = z.infer<typeof Logins>

const NONE: Logins = { current: null, tokens: {} }

/** By the XDG base directories. */
export const loginsFile = ({
  XDG_CONFIG_HOME: config,
  HOME: home,
}: {
  XDG_CONFIG_HOME?: string
  HOME?: string
}): string => join(config?.startsWith('/') ? config : join(home ? home : homedir(), '.config'), 'coffer', 'logins.json')

/** @throws CONFIG_INVALID (unreadable) */
export function readLogins(file: string): Logins {
  try {
    return Logins.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')) return NONE
    throw new CofferError('CONFIG_INVALID', `cannot read ${file}: remove it, and log in again`, { cause })
  }
}

/** Only its owner may read it, at no moment anybody else. @throws CONFIG_INVALID (it can't be written) */
export function writeLogins(file: string, logins: Logins): void {
  const temporary = `${file}.${process.pid}`
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(temporary, `${JSON.stringify(logins, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
    renameSync(temporary, file)
  } catch (cause) {
    rmSync(temporary, { force: true })
    throw new CofferError('CONFIG_INVALID', `cannot write ${file}: ${cause instanceof Error ? cause.message : ''}`, {
      cause,
    })
  }
}
