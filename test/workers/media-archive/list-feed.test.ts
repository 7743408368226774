import { expect, test } from 'vitest'
import type { FileEntry } from '../../../shared/domain/file-list.ts'
import { openListFeed, type ListFeed } from '../../../workers/media-archive/list-feed.ts'

const ENTRY: FileEntry = { path: 'a'.repeat(1_000), type: 'file', size: 0, mode: 0, uid: 0, gid: 0, mtime_ns: '0' }

/** Appends until it has to wait for room. */
async function fill(feed: ListFeed): Promise<boolean> {
  for (let count = 0; count < 10_000; count++) if (!(await feed.append(ENTRY))) return false
  return true
}

test('a list that fails before anybody reads it is an error to its reader, not the end of the process', async () => {
  const feed = openListFeed()
  feed.fail(new Error('the archive failed first'))
  await new Promise(setImmediate)
  await expect(Array.fromAsync(feed.source)).rejects.toThrow('the archive failed first')
})

test.each([
  ['stops reading', (feed: ListFeed) => void feed.source.destroy()],
  ['fails', (feed: ListFeed) => feed.fail(new Error('the upload failed'))],
])('whoever waits for room in the list is told when its reader %s', async (_how, end) => {
  const feed = openListFeed()
  const filled = fill(feed)
  await new Promise(setImmediate)
  end(feed)
  expect(await filled).toBe(false)
})

test('all that is appended arrives, in order, however slowly it is read', async () => {
  const feed = openListFeed()
  const read = Array.fromAsync(feed.source)
  expect(await fill(feed)).toBe(true)
  feed.close()
  const lines = Buffer.concat(await read)
    .toString('utf8')
    .split('\n')
  expect(lines).toHaveLength(10_001)
})
