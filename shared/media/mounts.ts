import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fromText, type Bytes } from './bytes.ts'

/** Where something else is mounted: it can neither be renamed nor renamed onto. */
export async function isMountPoint(path: string): Promise<boolean> {
  const [own, parent] = await Promise.all([stat(path), stat(dirname(path))])
  if (own.dev !== parent.dev) return true
  // A bind mount of the same file system shows only here.
  return (await mountPoints()).includes(fromText(path))
}

/** Mount points below a folder, relative to it, outermost first. */
export async function mountsUnder(folder: string): Promise<Bytes[]> {
  const prefix = fromText(folder === '/' ? folder : `${folder}/`)
  const below = (await mountPoints()).filter((path) => path.startsWith(prefix) && path !== prefix)
  return [...new Set(below)].sort().map((path) => path.slice(prefix.length))
}

/** Empty where the system doesn't tell. */
async function mountPoints(): Promise<Bytes[]> {
  const mounts = await readFile('/proc/self/mountinfo', 'latin1').catch(() => '')
  return mounts.split('\n').map((mount) => unescaped(mount.split(' ')[4]))
}

const unescaped = (field = ''): Bytes =>
  field.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)))

/** Those that a restore of these paths (null: of everything) would have to rename, or to rename across. */
export async function mountsInTheWay(root: string, paths: readonly Bytes[] | null): Promise<Bytes[]> {
  const mounts = await mountsUnder(root)
  if (paths === null) return mounts
  const isOn = (mount: Bytes, path: Bytes) => `${path}/`.startsWith(`${mount}/`) || mount.startsWith(`${path}/`)
  return mounts.filter((mount) => paths.some((path) => isOn(mount, path)))
}
