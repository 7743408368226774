import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { removeTree } from '../../shared/media/remove-tree.ts'
import { forgetTree, restoreTree } from '../../shared/media/restore-tree.ts'
import { stageArchive } from '../../shared/media/stage-archive.ts'
import type { Staging } from '../../shared/media/staging.ts'
import { archive, type Archived } from './media-archives.ts'

const self = fileURLToPath(import.meta.url)

/** Each as user nobody, in a process of its own; for tests that run as root. */
export const archiveAsNobody = (root: string) =>
  run(['archive', root]) as Pick<Archived, 'entries' | 'contents' | 'unreadable'>
export const extractAsNobody = ({ tar, contents }: Archived, target: string) =>
  run(['extract', target, JSON.stringify(contents)], tar) as { warnings: string[] }
export const restoreAsNobody = ({ tar, contents }: Archived, root: string) =>
  run(['restore', root, JSON.stringify(contents)], tar) as { leftovers: string[] }
export const removeAsNobody = (path: string) => void run(['remove', path])

function run(args: string[], input: Buffer = Buffer.from('')): unknown {
  const child = spawnSync(process.execPath, [self, ...args], { input, encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (child.status !== 0) throw new Error(child.stderr)
  return JSON.parse(child.stdout)
}

async function act(verb: string, path: string, contents = ''): Promise<unknown> {
  if (verb === 'archive') {
    const { entries, contents, unreadable } = await archive(path)
    return { entries, contents, unreadable }
  }
  if (verb === 'extract') {
    const expected = JSON.parse(contents) as MediaContents
    return extractIntoEmpty({ source: process.stdin as AsyncIterable<Buffer>, target: path, expected })
  }
  if (verb === 'restore') {
    const archive = { source: process.stdin as AsyncIterable<Buffer>, expected: JSON.parse(contents) as MediaContents }
    const stage = (staging: Staging) => stageArchive(staging, archive)
    const id = randomUUID()
    const restored = await restoreTree({ root: path, id, paths: null, neededBytes: 0, stage })
    await forgetTree(path, id)
    return restored
  }
  await removeTree(path)
  return null
}

if (process.argv[1] === self) {
  // Everything is imported by now: the checkout may lie where nobody can't read.
  process.setgroups?.([])
  process.setgid?.(65_534)
  process.setuid?.(65_534)
  const [verb = '', path = '', contents] = process.argv.slice(2)
  process.stdout.write(JSON.stringify(await act(verb, path, contents)))
}
