import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CofferError } from '../errors.ts'
import { errnoOf } from './system-calls.ts'

export interface RootPolicy {
  /** Folders that media roots may be or lie under. */
  allowedRoots: readonly string[]
  /** Data folder, stores, key files. */
  forbidden: readonly string[]
  /** Folders that it must lie under as well; null: no further bound. */
  narrowedTo?: readonly string[] | null
}

/**
 * The real path of a `file://` media root. It must be or lie under an allowed root, and neither contain, be nor lie under anything forbidden;
 * under something forbidden it may lie only where an allowed root lies deeper still.
 * @throws CofferError CONNECTION_INVALID, MEDIA_ROOT_MISSING, MEDIA_UNREADABLE, CONNECTION_REFUSED_BY_POLICY
 */
export async function resolveMediaRoot(url: string, policy: RootPolicy): Promise<string> {
  const root = await realFolder(pathOfUrl(url))
  await requireAllowed(root, policy)
  return root
}

/**
 * The same for a folder that is restored into, which need not exist yet.
 * @throws CofferError CONNECTION_INVALID, CONNECTION_REFUSED_BY_POLICY
 */
export async function resolveMediaTarget(url: string, policy: RootPolicy): Promise<string> {
  const target = await realPathOfAny(pathOfUrl(url))
  await requireAllowed(target, policy)
  return target
}

async function requireAllowed(root: string, policy: RootPolicy): Promise<void> {
  const allowedRoots = await Promise.all(policy.allowedRoots.map(realPathOfAny))
  const forbidden = await Promise.all(policy.forbidden.map(realPathOfAny))
  const allowed = allowedRoots.filter((folder) => isUnder(root, folder)).sort((a, b) => b.length - a.length)[0]
  if (allowed === undefined)
    throw refused(root, `does not lie under an allowed root (${allowedRoots.join(', ') || 'there is none'})`)
  const narrower = policy.narrowedTo && (await Promise.all(policy.narrowedTo.map(realPathOfAny)))
  if (narrower && !narrower.some((folder) => isUnder(root, folder)))
    throw refused(root, `does not lie under a folder of its organisation (${narrower.join(', ') || 'it has none'})`)
  for (const path of forbidden) {
    if (path !== root && isUnder(path, root)) throw refused(root, `contains ${path}, which is Coffer's own`)
    const isDeeperAllowed = allowed !== path && isUnder(allowed, path)
    if (isUnder(root, path) && !isDeeperAllowed) throw refused(root, `lies under ${path}, which is Coffer's own`)
  }
}

function pathOfUrl(url: string): string {
  try {
    const parsed = new URL(url)
    if (parsed.protocol !== 'file:' || parsed.search !== '' || parsed.hash !== '')
      throw new TypeError('not file:///path')
    return fileURLToPath(parsed)
  } catch (cause) {
    throw new CofferError('CONNECTION_INVALID', 'the address of a media folder must have the form file:///path', {
      cause,
    })
  }
}

async function realFolder(path: string): Promise<string> {
  try {
    const real = await realpath(path)
    if ((await stat(real)).isDirectory()) return real
  } catch (cause) {
    const isMissing = ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(cause))
    throw isMissing
      ? new CofferError('MEDIA_ROOT_MISSING', `the media folder ${path} does not exist`, { cause })
      : new CofferError('MEDIA_UNREADABLE', `the media folder ${path} can't be reached (${errnoOf(cause)})`, { cause })
  }
  throw new CofferError('MEDIA_ROOT_MISSING', `${path} is not a folder`)
}

/** The real path of what exists of it, and the rest as it is. */
async function realPathOfAny(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    return dirname(path) === path ? path : join(await realPathOfAny(dirname(path)), basename(path))
  }
}

function isUnder(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`)
}

function refused(root: string, why: string): CofferError {
  return new CofferError('CONNECTION_REFUSED_BY_POLICY', `the media folder ${root} ${why}`)
}
