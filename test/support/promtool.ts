import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { canInstall } from '../../scripts/services/apt.ts'
import { findOnPath } from '../../scripts/services/binaries.ts'

const run = promisify(execFile)

export interface Promtool extends AsyncDisposable {
  path: string
}

/**
 * The machine's promtool, else the one of Debian's package, unpacked beside: installing it would start a Prometheus.
 * null where neither can be had.
 */
export async function findPromtool(): Promise<Promtool | null> {
  const path = findOnPath('promtool', process.env)
  if (path !== null) return { path, [Symbol.asyncDispose]: () => Promise.resolve() }
  if (!canInstall()) return null
  const folder = await mkdtemp(join(tmpdir(), 'coffer-promtool-'))
  const download = () => run('apt-get', ['-qq', 'download', 'prometheus'], { cwd: folder })
  await download().catch(async () => {
    await run('apt-get', ['-qq', 'update'])
    await download()
  })
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith('.deb'))
  await run('dpkg-deb', ['--extract', join(folder, archive ?? ''), folder])
  return {
    path: join(folder, 'usr/bin/promtool'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
