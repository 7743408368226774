import { pbkdf2 } from 'node:crypto'
import fs from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { fromText } from '../../shared/media/bytes.ts'
import { compareLists } from '../../shared/media/compare-lists.ts'
import { Folder } from '../../shared/media/folder.ts'
import { MemberWriter } from '../../shared/media/member-writer.ts'
import { NoteFile } from '../../shared/media/note-file.ts'
import type { TarEntry } from '../../shared/media/tar-parser.ts'
import { scratch } from '../support/media-archives.ts'
import { until } from '../support/until.ts'

const entry = (path: string, type: TarEntry['type']): TarEntry => ({
  ...{ path: Buffer.from(path), type, size: type === 'file' ? 3 : 0, offset: 0, link: null },
  ...{ mode: 0o755, uid: 0, gid: 0, mtimeNs: 0n },
})

test('files that are still being written when one fails go into no folder that is opened afterwards', async () => {
  await using place = scratch()
  const [tree, another] = [`${place.path}/tree`, `${place.path}/of-another-job`]
  fs.mkdirSync(tree)
  fs.mkdirSync(another)
  const writer = new MemberWriter(await Folder.open(fromText(tree)))
  await writer.begin(entry('d', 'directory'))
  await writer.end()
  // The first fails, since its name is taken; the others wait for the thread pool, which is busy.
  fs.writeFileSync(`${tree}/d/f0`, '')
  const busy: Promise<unknown>[] = []
  const fill = async () => {
    for (let number = 0; number < 12; number++) {
      await writer.begin(entry(`d/f${number}`, 'file'))
      await writer.write(Buffer.from('abc'))
      await writer.end()
      if (number > 0) continue
      for (let thread = 0; thread < 4; thread++) busy.push(promisify(pbkdf2)('x', 'y', 300_000, 64, 'sha512'))
    }
    await writer.finish()
  }
  await expect(fill()).rejects.toThrow(/exists already/)
  await writer.abandon()
  const opened = [0, 1, 2].map(() => fs.openSync(another, 'r'))
  await Promise.all(busy)
  await promisify(pbkdf2)('x', 'y', 1, 64, 'sha512')
  await until(() => Promise.resolve(fs.readdirSync(`${tree}/d`).length === 12 || fs.readdirSync(another).length > 0))
  expect(fs.readdirSync(another)).toEqual([])
  for (const fd of opened) fs.closeSync(fd)
})

test('a list that does not parse, or is gone, leaves no file open and no failure that nobody hears', async () => {
  await using place = scratch()
  const descriptors = () => fs.readdirSync('/proc/self/fd').length
  const before = descriptors()
  for (let number = 0; number < 20; number++) {
    const [list, found] = [`${place.path}/list-${number}`, `${place.path}/found-${number}`]
    const listed = await NoteFile.create(list)
    await listed.append(Buffer.from('no entry\n'))
    await listed.finish()
    const extracted = await NoteFile.create(found)
    await extracted.finish()
    if (number % 2 === 1) for (const path of [list, found]) fs.unlinkSync(path)
    await expect(compareLists(listed.read(), extracted.read(), {} as MediaContents)).rejects.toThrow()
  }
  await until(() => Promise.resolve(descriptors() <= before))
})
