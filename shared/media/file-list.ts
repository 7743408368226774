import { CofferError } from '../errors.ts'
import { FileEntry } from '../domain/file-list.ts'
import { fromText, toBuffer, toText, type Bytes } from './bytes.ts'

/** In JSON a byte takes six at most: room for the longest path that an extended header may give, and a link target. */
export const LONGEST_LINE = 512 * 1024

/** One line of NDJSON. */
export function encodeFileEntry(entry: FileEntry): Buffer {
  return Buffer.from(`${JSON.stringify(entry)}\n`)
}

/** @throws CofferError ARTIFACT_CORRUPT for anything but one entry. */
export function parseFileEntry(line: string): FileEntry {
  try {
    return FileEntry.parse(JSON.parse(line))
  } catch (cause) {
    throw new CofferError('ARTIFACT_CORRUPT', `a line of the file list is not a file entry: ${line.slice(0, 200)}`, {
      cause,
    })
  }
}

/** The entries of an NDJSON list, in constant memory. @throws CofferError ARTIFACT_CORRUPT */
export async function* readFileList(source: AsyncIterable<Uint8Array>): AsyncGenerator<FileEntry, void, undefined> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of source) {
    const data = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10, start)) {
      yield parseFileEntry(data.toString('utf8', start, end))
      start = end + 1
    }
    rest = data.subarray(start)
    if (rest.length > LONGEST_LINE) {
      throw new CofferError('ARTIFACT_CORRUPT', `a line of the file list is longer than ${LONGEST_LINE} bytes`)
    }
  }
  if (rest.length > 0) throw new CofferError('ARTIFACT_CORRUPT', 'the file list does not end with a whole line')
}

/** The fields that name a path: text where the bytes are UTF-8, else base64. */
export function pathFields(path: Bytes): Pick<FileEntry, 'path' | 'path_b64'> {
  const text = toText(path)
  return text === null ? { path_b64: toBuffer(path).toString('base64') } : { path: text }
}

export function linkFields(link: Bytes): Pick<FileEntry, 'link' | 'link_b64'> {
  const text = toText(link)
  return text === null ? { link_b64: toBuffer(link).toString('base64') } : { link: text }
}

export const pathOf = (entry: FileEntry): Bytes => bytesOf(entry.path, entry.path_b64) ?? ''
export const linkOf = (entry: FileEntry): Bytes | undefined => bytesOf(entry.link, entry.link_b64)

/** Whether the archive has a member for the entry. An unreadable file with an offset broke off while it was read: zeros fill it up. */
export function isInArchive(entry: FileEntry): boolean {
  return entry.flag === undefined || entry.flag === 'changed' || entry.offset !== undefined
}

function bytesOf(text: string | undefined, base64: string | undefined): Bytes | undefined {
  if (base64 !== undefined) return Buffer.from(base64, 'base64').toString('latin1')
  return text === undefined ? undefined : fromText(text)
}
