import type { Bytes } from './bytes.ts'
import { Folder } from './folder.ts'

interface Level {
  name: Bytes
  folder: Folder
}

/**
 * Walks to folders of a tree by name, every component opened without following a symlink. Archives list a folder's entries together, so mostly
 * the folder is open already. `onLeave` is awaited before a folder is closed.
 */
export class TreeCursor {
  readonly #root: Folder
  readonly #onLeave: (path: Bytes, folder: Folder) => Promise<void> | void
  readonly #levels: Level[] = []

  constructor(root: Folder, onLeave: (path: Bytes, folder: Folder) => Promise<void> | void = () => undefined) {
    this.#root = root
    this.#onLeave = onLeave
  }

  async goTo(components: readonly Bytes[]): Promise<Folder> {
    const common = this.#levels.findIndex(({ name }, depth) => name !== components[depth])
    while (common !== -1 && this.#levels.length > common) await this.#leave()
    for (const name of components.slice(this.#levels.length)) {
      const parent = this.#levels.at(-1)?.folder ?? this.#root
      this.#levels.push({ name, folder: await parent.openFolder(name) })
    }
    return this.#levels.at(-1)?.folder ?? this.#root
  }

  /** Leaves every folder, innermost first. */
  async finish(): Promise<void> {
    while (this.#levels.length > 0) await this.#leave()
  }

  /** Closes every folder without leaving it. Does nothing after `finish`. */
  close(): void {
    for (const { folder } of this.#levels.splice(0)) folder.close()
  }

  async #leave(): Promise<void> {
    const level = this.#levels.at(-1)
    if (!level) return
    await this.#onLeave(this.#levels.map(({ name }) => name).join('/'), level.folder)
    this.#levels.pop()
    level.folder.close()
  }
}
