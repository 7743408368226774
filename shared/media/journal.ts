import { constants, createReadStream } from 'node:fs'
import { rename } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { CofferError } from '../errors.ts'
import { reached } from '../steps.ts'
import { BlockBuffer } from './block-buffer.ts'
import { toBuffer, type Bytes } from './bytes.ts'
import type { Staging } from './staging.ts'
import { close, fsync, open, writeFully } from './system-calls.ts'

/**
 * One entry of the living tree on its way out, and the staged one of the same path on its way in. Steps are independent of each other: no
 * path lies under another.
 */
export interface Step {
  path: Bytes
  /** `remove`: the archive has nothing of this path. */
  kind: 'replace' | 'remove'
  /** Modes of folders that had to be made writable to be moved. */
  oldMode?: number
  newMode?: number
}

export interface Journal {
  /** Of the root, which a recovery must find again; null: there was none, it is made first. */
  rootInode: bigint | null
  steps: Iterable<Step> | AsyncIterable<Step>
}

const FORMAT = 1
const mode = z.int().nonnegative().optional()
const Header = z.strictObject({
  format: z.literal(FORMAT),
  makes_root: z.boolean(),
  /** Journals of an earlier version don't tell. */
  root_b64: z.base64().optional(),
  root_inode: z.string().regex(/^\d+$/).optional(),
})
const Line = z.strictObject({
  path_b64: z.base64(),
  kind: z.enum(['replace', 'remove']),
  old_mode: mode,
  new_mode: mode,
})

/**
 * From here on the restore goes forward, whatever happens. The journal gets its name only when all of it is on the disk.
 * @throws RUN_FENCED where the staging is another's by then
 */
export async function commitJournal(staging: Staging, { rootInode, steps }: Journal): Promise<void> {
  const pending = `${staging.journal}.tmp`
  const fd = await open(pending, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    const blocks = new BlockBuffer(64 * 1024)
    const root = { root_b64: Buffer.from(staging.root).toString('base64'), root_inode: rootInode?.toString() }
    blocks.add(encode({ format: FORMAT, makes_root: rootInode === null, ...root }))
    for await (const { path, kind, oldMode, newMode } of steps) {
      blocks.add(encode({ path_b64: toBuffer(path).toString('base64'), kind, old_mode: oldMode, new_mode: newMode }))
      if (blocks.isFull) await writeFully(fd, blocks.take())
    }
    await writeFully(fd, blocks.take())
    await fsync(fd)
  } finally {
    close(fd)
  }
  reached('media-journal-written')
  // Planning millions of steps takes long: of a staging made anew meanwhile, this would put a half-written journal in force.
  await staging.requireOwn()
  await rename(pending, staging.journal)
  await staging.sync()
  reached('media-journal-committed')
}

export interface ReadJournal {
  makesRoot: boolean
  root: string | null
  rootInode: bigint | null
  steps: AsyncGenerator<Step>
  /** For whoever does not read all of the steps. */
  close: () => void
}

/** @throws CofferError RESTORE_FAILED for anything but a journal */
export async function readJournal(staging: Staging): Promise<ReadJournal> {
  const input = createReadStream(staging.journal)
  const lines = createInterface(input)[Symbol.asyncIterator]()
  const first = await lines.next()
  const header = parse(staging, Header, first.done ? '' : first.value)
  async function* steps(): AsyncGenerator<Step> {
    for await (const line of { [Symbol.asyncIterator]: () => lines }) {
      const { path_b64, kind, old_mode: oldMode, new_mode: newMode } = parse(staging, Line, line)
      const path = Buffer.from(path_b64, 'base64').toString('latin1')
      yield { path, kind, ...(oldMode !== undefined && { oldMode }), ...(newMode !== undefined && { newMode }) }
    }
  }
  return {
    makesRoot: header.makes_root,
    root: header.root_b64 === undefined ? null : Buffer.from(header.root_b64, 'base64').toString(),
    rootInode: header.root_inode === undefined ? null : BigInt(header.root_inode),
    steps: steps(),
    close: () => void input.destroy(),
  }
}

const encode = (line: unknown) => Buffer.from(`${JSON.stringify(line)}\n`)

function parse<T>(staging: Staging, schema: z.ZodType<T>, line: string): T {
  try {
    return schema.parse(JSON.parse(line))
  } catch (cause) {
    throw new CofferError('RESTORE_FAILED', `${staging.journal} is not a journal of a restore`, { cause })
  }
}
