import { createHash, type Hash } from 'node:crypto'
import type { ArtifactRecord } from '../../shared/domain/artifact.ts'
import type { FileEntry } from '../../shared/domain/file-list.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { fromBuffer, fromText } from '../../shared/media/bytes.ts'
import { compareLists } from '../../shared/media/compare-lists.ts'
import { readFileList } from '../../shared/media/file-list.ts'
import { entryOf } from '../../shared/media/member-reader.ts'
import { TarParser, type TarEntry } from '../../shared/media/tar-parser.ts'

/**
 * Takes an archive apart without writing anything, and holds every member (its bytes' hash, mode, owner, time) against the list that is stored
 * beside it, line by line as both flow by, and the archive's own list against the same.
 * @throws ARCHIVE_INVALID, CONTENTS_DIFFER, and what its sources throw
 */
export async function checkArchive(
  { archive, list }: { archive: AsyncIterable<Buffer>; list: AsyncIterable<Buffer> },
  listRecord: ArtifactRecord,
  expected: MediaContents,
): Promise<{ entries: number; files: number; bytes: number }> {
  const members = readMembers(archive, fromText(expected.list_member), listRecord)
  const { files, bytes } = await compareLists(readFileList(list), members, expected)
  return { entries: expected.entries, files, bytes }
}

async function* readMembers(
  archive: AsyncIterable<Buffer>,
  listMember: string,
  listRecord: ArtifactRecord,
): AsyncGenerator<FileEntry, void, undefined> {
  const parser = new TarParser()
  let member: { entry: TarEntry; hash: Hash } | null = null
  let isList = false
  for await (const chunk of archive)
    for (const event of parser.push(chunk)) {
      if (event.type === 'entry') {
        if (isList) throw differs('a member follows its file list')
        member = { entry: event.entry, hash: createHash('sha256') }
        isList = fromBuffer(event.entry.path) === listMember
      } else if (event.type === 'data') member?.hash.update(event.chunk)
      else if (member && !isList) yield entryOf(member.entry, sha256Of(member))
    }
  parser.end()
  if (!isList || member?.hash.digest('hex') !== listRecord.plain_sha256)
    throw differs('its last member is not the file list that is stored beside it')
}

const sha256Of = ({ entry, hash }: { entry: TarEntry; hash: Hash }) =>
  entry.type === 'file' ? hash.digest('hex') : undefined

const differs = (what: string) =>
  new CofferError('CONTENTS_DIFFER', `the archive does not hold what its manifest says: ${what}`)
