import { execFile } from 'node:child_process'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'

const run = promisify(execFile)

/** A file system in memory of this size (and further mount options), for one test. Null where mounting is not permitted. */
export async function mountTmpfs(options: string): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-tmpfs-'))
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${options}`, 'tmpfs', folder])
  } catch {
    await rmdir(folder)
    return null
  }
  onTestFinished(async () => {
    await run('umount', [folder])
    await rmdir(folder)
  })
  return folder
}
