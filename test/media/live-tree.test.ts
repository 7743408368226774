import { describe, expect, test } from 'vitest'
import type { FileEntry } from '../../shared/domain/file-list.ts'
import { ArchiveTally } from '../../shared/media/archive-tally.ts'
import { HardLinks } from '../../shared/media/hard-links.ts'
import { NameList } from '../../shared/media/name-list.ts'

test('a name that is listed twice, since it was made again meanwhile, is one', () => {
  const names = new NameList()
  for (const name of ['b', 'a', 'b', 'ab', 'b', 'a']) names.add(Buffer.from(name), false)
  names.add(Buffer.from('a'), true)
  expect([...names.sort()]).toEqual(['a', 'a/', 'ab', 'b'])
})

describe('hard links', () => {
  const inode = (id: string, version = '1') => ({ id, names: 3, version })

  test('a file that got the number of one that is gone is another file', () => {
    const links = new HardLinks()
    expect(links.firstName('a', inode('1'))).toBeUndefined()
    expect(links.firstName('b', inode('1'))).toBe('a')
    expect(links.firstName('z', inode('1', '2'))).toBeUndefined()
    expect(links.firstName('z2', inode('1', '2'))).toBe('z')
    links.forget(inode('1', '2'))
    expect(links.firstName('z3', inode('1', '2'))).toBeUndefined()
    expect(links.warnings()).toEqual([])
  })

  test('beyond a number that memory holds, names are stored apart, and it is said', () => {
    const links = new HardLinks()
    for (let number = 0; number < 50_001; number++) links.firstName(`a${number}`, inode(`${number}`))
    expect(links.firstName('b', inode('49999'))).toBe('a49999')
    expect(links.firstName('b', inode('50000'))).toBeUndefined()
    expect(links.warnings()).toEqual([expect.stringMatching(/^2 name/)])
  })
})

describe('a tree that loses entries while it is read', () => {
  const lost = (vanished: number, kept: number) => {
    const tally = new ArchiveTally()
    const entry: FileEntry = { path: 'x', type: 'file', size: 1, mode: 0, uid: 0, gid: 0, mtime_ns: '0' } as never
    for (let number = 0; number < vanished; number++) tally.count({ ...entry, flag: 'vanished' })
    for (let number = 0; number < kept; number++) tally.count(entry)
    tally.refuseIfGone('/media')
  }

  test.each([
    [0, 0],
    [1, 7],
    [3, 9],
    [50, 1000],
  ])('%i of them beside %i others are a warning', (vanished, kept) => {
    expect(() => lost(vanished, kept)).not.toThrow()
  })

  test.each([
    [1, 0],
    [4, 9],
    [60, 1000],
  ])('%i of them beside %i others were taken away', (vanished, kept) => {
    expect(() => lost(vanished, kept)).toThrow(/vanished while it was read/)
  })
})
