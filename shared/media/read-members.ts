import type { Bytes } from './bytes.ts'
import type { Folder } from './folder.ts'
import type { NameList } from './name-list.ts'
import { failed, headerOf, openLarge, readAhead, type Ahead, type Member } from './read-member.ts'
import { walk, type Visit } from './walk.ts'

/** Small files are read this many at a time. With SMALL_FILE_BYTES it bounds the memory: 4 MiB. */
const READ_AHEAD = 32

interface Ordered {
  visit: Visit
  ahead: Promise<Ahead> | null
}

/** Everything under the root, in the order of `walk`, read. Takes over the root folder. A large member must be drained before the next. */
export async function* readMembers(root: Folder, rootNames: NameList): AsyncGenerator<Member, void, undefined> {
  const visits = walk(root, rootNames)
  const queue: Ordered[] = []
  let isWalking = true
  try {
    for (;;) {
      while (isWalking && queue.length < READ_AHEAD) {
        const { done, value } = await visits.next()
        if (done) isWalking = false
        else queue.push({ visit: value, ahead: begin(value) })
      }
      const first = queue.shift()
      if (!first) return
      const member = await finish(first)
      if (member) yield member
    }
  } finally {
    for (const { visit, ahead } of queue) {
      await ahead?.catch(() => undefined)
      if (visit.kind === 'leave') visit.folder.close()
    }
    await visits.return()
  }
}

function begin(visit: Visit): Promise<Ahead> | null {
  if (visit.kind !== 'leaf') return null
  const ahead = readAhead(visit.parent, visit.name, visit.path)
  // Its failure is met when its turn comes; until then it must not count as unhandled.
  ahead.catch(() => undefined)
  return ahead
}

function notContent(path: Bytes): Member {
  const reason = 'it is what a restore had staged here, no content'
  return { kind: 'absent', path, type: 'directory', flag: 'skipped', reason }
}

async function finish({ visit, ahead }: Ordered): Promise<Member | null> {
  switch (visit.kind) {
    case 'folder':
      return { kind: 'bare', header: headerOf(visit.path, 'directory', visit.folder.stats) }
    case 'failed':
      return failed(visit.path, 'directory', visit.error)
    case 'staging':
      return notContent(visit.path)
    case 'leave':
      visit.folder.close()
      return null
    case 'leaf': {
      const member = await ahead
      return member === null || member.kind === 'later' ? openLarge(visit.parent, visit.name, visit.path) : member
    }
  }
}
