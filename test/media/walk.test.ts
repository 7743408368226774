import fs from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromText } from '../../shared/media/bytes.ts'
import { Folder } from '../../shared/media/folder.ts'
import { NameList } from '../../shared/media/name-list.ts'
import { walk } from '../../shared/media/walk.ts'
import { scratch } from '../support/media-archives.ts'
import { look, makeZoo } from '../support/media-zoo.ts'

test.each([true, false])('a walk meets every entry once (by descriptor: %s)', async (byDescriptor) => {
  await using place = scratch()
  makeZoo(place.path)
  const root = await Folder.open(fromText(place.path), byDescriptor)
  const paths: string[] = []
  for await (const visit of walk(root, await root.list())) {
    if (visit.kind === 'leave') visit.folder.close()
    else paths.push(visit.path)
  }
  expect(paths.sort()).toEqual([...look(place.path).keys()].sort())
})

test('a folder that is a symlink is not opened', async () => {
  await using place = scratch()
  fs.symlinkSync('/etc', `${place.path}/link`)
  const root = await Folder.open(fromText(place.path))
  await expect(root.openFolder('link')).rejects.toMatchObject({
    code: expect.stringMatching(/ELOOP|ENOTDIR/) as string,
  })
  root.close()
})

test('names come out of a list as they went in, sorted bytewise, folders as if they ended in a slash', () => {
  const name = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => bytes.map((byte) => byte || 1))
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.boolean()), { maxLength: 400 }), (names) => {
      const list = new NameList()
      for (const [bytes, isFolder] of names) list.add(Buffer.from(bytes), isFolder)
      const expected = names.map(([bytes, isFolder]) => Buffer.from(bytes).toString('latin1') + (isFolder ? '/' : ''))
      expect([...list.sort()]).toEqual(expected.sort())
      expect(list.at(names.length)).toBeUndefined()
    }),
  )
})
