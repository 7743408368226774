import { execFileSync } from 'node:child_process'
import { chownSync, readFileSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CofferError } from '../../shared/errors.ts'
import type { PostgresBinaries } from './binaries.ts'
import { ownFolder } from './folders.ts'
import type { ServerPlace } from './private-server.ts'
import { writePrivateFile } from './run-record.ts'

export const SUPERUSER = 'postgres'

/** The major version of the cluster in `folder`; undefined when there is none. */
export function clusterMajor(folder: string): number | undefined {
  const file = join(folder, 'PG_VERSION')
  return existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : undefined
}

/** Makes a cluster in `folder`: there whole, or not at all, also when we are killed on the way. */
export function makeCluster(place: ServerPlace, binaries: PostgresBinaries, folder: string, password: string): void {
  const unfinished = `${folder}.unfinished`
  const passwordFile = join(place.folder, 'initdb-password')
  rmSync(unfinished, { recursive: true, force: true })
  ownFolder(unfinished, place.user)
  writePrivateFile(passwordFile, password)
  if (place.user) chownSync(passwordFile, place.user.uid, place.user.gid)
  const options = ['--auth=scram-sha-256', '--encoding=UTF8', `--username=${SUPERUSER}`, `--pwfile=${passwordFile}`]
  const locale = binaries.major < 17 ? ['--locale=C.UTF-8'] : ['--locale-provider=builtin', '--locale=C.UTF-8']
  const haste = place.disposable ? ['--no-sync'] : []
  try {
    execFileSync(join(binaries.folder, 'initdb'), ['-D', unfinished, ...options, ...locale, ...haste], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/bin:/bin' },
      ...(place.user ?? {}),
    })
  } catch (error) {
    const reason = String((error as { stderr?: Buffer }).stderr ?? error).trim()
    throw new CofferError('CONFIG_INVALID', `initdb could not make ${unfinished}: ${reason}`, { cause: error })
  } finally {
    rmSync(passwordFile, { force: true })
  }
  renameSync(unfinished, folder)
}
