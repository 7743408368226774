import { randomBytes } from 'node:crypto'
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
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

/** A month is gone, a picture is another one, and there is a file that was not there. */
export async function spoilSampleMedia(root: string): Promise<void> {
  await rm(join(root, 'uploads/07'), { recursive: true })
  await writeFile(join(root, 'uploads/01/picture 1.jpg'), 'not a picture')
  await writeFile(join(root, 'leftover.tmp'), 'left by the deployment')
}
