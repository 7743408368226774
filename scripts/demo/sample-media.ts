import { randomBytes } from 'node:crypto'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const FOLDERS = 12
const FILES = 50
const LARGEST_BYTES = 200_000

/** Six hundred files that do not compress, as pictures don't, and a link. */
export async function makeSampleMedia(root: string): Promise<void> {
  for (let month = 1; month <= FOLDERS; month++) {
    const folder = join(root, 'uploads', String(month).padStart(2, '0'))
    await mkdir(folder, { recursive: true })
    for (let picture = 0; picture < FILES; picture++)
      await writeFile(join(folder, `picture ${picture}.jpg`), randomBytes((picture * 7919) % LARGEST_BYTES))
  }
  await symlink('uploads/12/picture 1.jpg', join(root, 'cover.jpg'))
}
