import { lstat, opendir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CofferError, notEmptyAnyMore } from '../errors.ts'
import { fromText, quoted, type Bytes } from './bytes.ts'
import { Folder } from './folder.ts'
import { mountsInTheWay } from './mounts.ts'
import { findPlace } from './plan-steps.ts'
import { freeBytes, isStagingName, isThere, isWritable, stagingParent } from './staging.ts'
import { errnoOf } from './system-calls.ts'
import { TreeCursor } from './tree-cursor.ts'

export interface TargetLook {
  isEmpty: boolean
  /** Everything that stands against a restore, all at once. */
  findings: string[]
}

/** Looks at a folder that is to be restored into (a real path), and changes nothing. `paths`: what would be replaced; null: everything. */
export async function lookAtTarget(
  root: string,
  { neededBytes, paths }: { neededBytes: number; paths: readonly Bytes[] | null },
): Promise<TargetLook> {
  if (!(await isThere(root))) return { isEmpty: true, findings: await aboutMissing(root, neededBytes) }
  if (!(await lstat(root)).isDirectory()) return { isEmpty: false, findings: [`the target ${root} is not a folder`] }
  if (!(await isWritable(root))) return { isEmpty: false, findings: [`the worker may not write to the target ${root}`] }
  const mounts = await mountsInTheWay(root, paths)
  return {
    isEmpty: await isEmptyFolder(root),
    findings: [
      ...(await aboutSpace(await stagingParent(root), neededBytes)),
      ...mounts.map((mount) => `${quoted(mount)} in ${root} is a mount point and can't be replaced: unmount it first`),
      ...(await aboutPlaces(root, paths ?? [])),
    ],
  }
}

/** @throws TARGET_NOT_EMPTY */
export async function requireStillEmpty(root: string): Promise<void> {
  if ((await isThere(root)) && !(await isEmptyFolder(root))) throw notEmptyAnyMore(`the folder ${root} holds files`)
}

async function isEmptyFolder(root: string): Promise<boolean> {
  for await (const { name } of await opendir(root)) if (!isStagingName(name)) return false
  return true
}

async function aboutMissing(root: string, neededBytes: number): Promise<string[]> {
  let existing = dirname(root)
  while (!(await isThere(existing))) existing = dirname(existing)
  if (!(await isWritable(existing)))
    return [`the target ${root} can't be made: the worker may not write to ${existing}`]
  return aboutSpace(existing, neededBytes)
}

async function aboutSpace(folder: string, neededBytes: number): Promise<string[]> {
  const free = await freeBytes(folder)
  if (free >= neededBytes) return []
  return [`the file system of ${folder} has ${free} bytes free; the new files need ${neededBytes} beside the old`]
}

async function aboutPlaces(root: string, paths: readonly Bytes[]): Promise<string[]> {
  const folder = await Folder.open(fromText(root))
  const cursor = new TreeCursor(folder)
  const findings = new Set<string>()
  try {
    for (const path of paths) {
      try {
        const { parent, place } = await findPlace(cursor, path)
        if (parent !== null && !(await isWritable(parent.at('.'))))
          findings.add(`the worker may not write to the folder of ${quoted(place.join('/'))} in the target`)
      } catch (error) {
        if (error instanceof CofferError) findings.add(error.message)
        else findings.add(`${quoted(path)} can't be looked at in the target (${errnoOf(error)})`)
      }
    }
  } finally {
    cursor.close()
    folder.close()
  }
  return [...findings]
}
