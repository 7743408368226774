import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chownSync, lstatSync, mkdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CofferError } from '../../shared/errors.ts'

/** Whom the private servers run as when we are root, which PostgreSQL refuses to be. */
export interface ServerUser {
  uid: number
  gid: number
}

/** null: as the user who called. */
export function serverUser(): ServerUser | null {
  if (process.getuid?.() !== 0) return null
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = accounts.find((account) => account[0] === name) ?? []
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new CofferError(
    'CONFIG_INVALID',
    'as root, PostgreSQL needs a user to run as: neither postgres nor nobody exists',
  )
}

/** A folder that only we and the servers' user enter; it is made where it is missing. */
export function ownFolder(path: string, user: ServerUser | null): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  if (user !== null) chownSync(path, user.uid, user.gid)
  return path
}

/** The data folder. Others may pass through it, as the servers' user must when we are root, but not look around. */
export function openDataFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
  return path
}

/** The first of the preferred folder and the others that the servers' user can enter; said aloud when it is another. */
export function reachableFolder(
  preferred: string,
  fallbacks: readonly string[],
  user: ServerUser | null,
  log: (line: string) => void,
): string {
  const found = [preferred, ...fallbacks].find((folder) => canEnter(folder, user))
  if (found === undefined) {
    const tried = [preferred, ...fallbacks].join(', ')
    throw new CofferError('CONFIG_INVALID', `the user of the private servers${uidOf(user)} can enter none of ${tried}`)
  }
  if (found !== preferred) {
    log(`${preferred} is closed to the user of the private servers${uidOf(user)}: they keep their data in ${found}`)
  }
  return found
}

/** Where the servers of `up` may live when their user cannot reach the data folder. */
export function upFallbacks(dataDir: string): string[] {
  const name = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  return [join('/var/lib/coffer', name), join('/var/tmp', `coffer-${name}`)]
}

export function testFallbacks(): string[] {
  const name = `coffer-test-${process.getuid?.() ?? 0}`
  return [join(tmpdir(), name), join('/var/tmp', name)]
}

function canEnter(folder: string, user: ServerUser | null): boolean {
  try {
    openDataFolder(folder)
  } catch {
    return false
  }
  // In a shared place such as /tmp, another user may have made a folder of this name to read along.
  if (process.getuid !== undefined && lstatSync(folder).uid !== process.getuid()) return false
  return user === null || spawnSync('test', ['-x', folder], { ...user, cwd: '/', stdio: 'ignore' }).status === 0
}

function uidOf(user: ServerUser | null): string {
  return user === null ? '' : ` (uid ${user.uid})`
}
