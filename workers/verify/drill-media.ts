import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ArtifactRecord } from '../../shared/domain/artifact.ts'
import type { Manifest, MediaContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { fromBuffer, fromText } from '../../shared/media/bytes.ts'
import { extractIntoEmpty } from '../../shared/media/extract.ts'
import { removeTree } from '../../shared/media/remove-tree.ts'
import { TarParser } from '../../shared/media/tar-parser.ts'
import { drain, readPlain, recordOf, type PartToVerify } from './part.ts'
import { scratchFolder } from './scratch.ts'

/** Extracts the archive into a folder of its own; every file's hash, size, mode and time is compared with the list. */
export async function drillMedia(
  part: PartToVerify,
  manifest: Manifest,
  contents: MediaContents,
  restored: () => void,
): Promise<Record<string, unknown>> {
  const ofVerification = scratchFolder(part.config, part.id)
  const list = recordOf(manifest, 'file-list')
  const inside = new ListInside(contents.list_member)
  await removeTree(ofVerification)
  await mkdir(ofVerification, { recursive: true, mode: 0o700 })
  // Each attempt has its own: one that was taken for dead removes no more than that.
  const folder = await mkdtemp(join(ofVerification, 'attempt-'))
  try {
    const { files, bytes, warnings } = await extractIntoEmpty({
      source: readPlain(part, recordOf(manifest, 'archive'), (chunk) => inside.inspect(chunk)),
      target: join(folder, 'tree'),
      expected: contents,
      signal: part.signal,
    })
    await drain(readPlain(part, list))
    inside.mustBe(list)
    restored()
    return { entries: contents.entries, files, bytes, left_out: warnings }
  } finally {
    await removeTree(folder).catch(() => undefined)
    await rmdir(ofVerification).catch(() => undefined)
  }
}

/** The list that an archive carries, by its digest. */
class ListInside {
  readonly #parser = new TarParser()
  readonly #hash = createHash('sha256')
  readonly #name: string
  #isInside = false

  constructor(name: string) {
    this.#name = fromText(name)
  }

  /** To be shown every chunk of an archive that parses; of one that doesn't, whoever takes it apart tells. */
  inspect(chunk: Buffer): void {
    for (const event of this.#parser.push(chunk)) {
      if (event.type === 'entry') this.#isInside = fromBuffer(event.entry.path) === this.#name
      else if (event.type === 'data' && this.#isInside) this.#hash.update(event.chunk)
    }
  }

  /** @throws CONTENTS_DIFFER */
  mustBe({ plain_sha256: expected }: ArtifactRecord): void {
    if (this.#hash.digest('hex') !== expected)
      throw new CofferError('CONTENTS_DIFFER', `the archive's own file list is not the one that is stored beside it`)
  }
}
