import {
  constants,
  existsSync,
  opendir as opendirCallback,
  readdir as readdirCallback,
  type BigIntStats,
} from 'node:fs'
import { promisify } from 'node:util'
import { fromBuffer, toBuffer, type Bytes } from './bytes.ts'
import { NameList } from './name-list.ts'
import { close, fstat, lstat, open, readlink } from './system-calls.ts'

const opendir = promisify(opendirCallback)
const readdir = promisify(readdirCallback)
const FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const DESCRIPTORS = '/proc/self/fd'
const HAS_DESCRIPTORS = existsSync(DESCRIPTORS)

/**
 * An open directory, whose entries are reached through its descriptor (what openat does), so that a path component which is swapped for a
 * symlink meanwhile can't lead elsewhere. Without /proc they are reached by path, and only the last component is guarded.
 */
export class Folder {
  readonly #fd: number
  readonly #path: Bytes
  readonly stats: BigIntStats

  private constructor(fd: number, path: Bytes, stats: BigIntStats) {
    this.#fd = fd
    this.#path = path
    this.stats = stats
  }

  /** Opens a path without following a symlink at its end. */
  static async open(path: Bytes, byDescriptor = HAS_DESCRIPTORS): Promise<Folder> {
    const fd = await open(toBuffer(path), FLAGS)
    try {
      const stats = fstat(fd)
      return new Folder(fd, byDescriptor ? `${DESCRIPTORS}/${fd}` : path, stats)
    } catch (error) {
      close(fd)
      throw error
    }
  }

  /** Where it lies, by which links ever; null without /proc. */
  async realPath(): Promise<Bytes | null> {
    return HAS_DESCRIPTORS ? fromBuffer(await readlink(toBuffer(`${DESCRIPTORS}/${this.#fd}`))) : null
  }

  get fd(): number {
    return this.#fd
  }

  /** The path of an entry, for system calls only, while this folder is open. */
  at(name: Bytes): Buffer {
    return toBuffer(`${this.#path}/${name}`)
  }

  openFolder(name: Bytes): Promise<Folder> {
    return Folder.open(`${this.#path}/${name}`, this.#path.startsWith(DESCRIPTORS))
  }

  /** Names in bytewise order, those of directories with a '/' at the end, which makes a walk's paths sorted as a whole. */
  async list(): Promise<NameList> {
    // Where the file system does not tell the types of entries, Node looks at each and fails for one that has gone meanwhile.
    return (await this.#listByType().catch(() => this.#listOneByOne())).sort()
  }

  async #listByType(): Promise<NameList> {
    const names = new NameList()
    const directory = await opendir(toBuffer(`${this.#path}/`), {
      encoding: 'buffer' as BufferEncoding,
      bufferSize: 1024,
    })
    try {
      for (let entry = await directory.read(); entry; entry = await directory.read()) {
        names.add(entry.name as unknown as Buffer, entry.isDirectory())
      }
    } finally {
      directory.closeSync()
    }
    return names
  }

  async #listOneByOne(): Promise<NameList> {
    const names = new NameList()
    for (const name of await readdir(toBuffer(`${this.#path}/`), { encoding: 'buffer' }))
      names.add(
        name,
        await lstat(this.at(fromBuffer(name))).then(
          (stats) => stats.isDirectory(),
          () => false,
        ),
      )
    return names
  }

  close(): void {
    close(this.#fd)
  }
}
