import { CofferError } from '../errors.ts'
import { quoted, type Bytes } from './bytes.ts'

/** The components of a member's path, relative to the root. @throws CofferError ARTIFACT_CORRUPT for a path that leads out of it. */
export function componentsOf(path: Bytes): Bytes[] {
  const components = path.split('/')
  const isSafe = components.every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'))
  if (!isSafe) throw corrupt(`a member has the path ${quoted(path.slice(0, 200))}, which does not lie under the root`)
  return components
}

export function corrupt(what: string, cause?: unknown): CofferError {
  return new CofferError(
    'ARTIFACT_CORRUPT',
    `the archive is not what Coffer wrote: ${what}`,
    cause === undefined ? {} : { cause },
  )
}
