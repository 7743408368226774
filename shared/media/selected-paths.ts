import { fromText, type Bytes } from './bytes.ts'

/** The files and folders that a partial restore takes, each with all that is in it. */
export class SelectedPaths {
  /** As they were asked for: relative to the root, without a '/' at the end. */
  readonly named: readonly Bytes[]
  /** Those of them that lie under no other. */
  readonly paths: readonly Bytes[]
  readonly #all: ReadonlySet<Bytes>
  readonly #parents = new Set<Bytes>()

  constructor(texts: readonly string[]) {
    const named = new Set(texts.map((text) => fromText(text.replace(/^(?:\.\/)+|\/+$/g, ''))))
    this.named = [...named]
    this.paths = [...named].filter((path) => !parentsOf(path).some((parent) => named.has(parent))).sort()
    this.#all = new Set(this.paths)
    for (const path of this.paths) for (const parent of parentsOf(path)) this.#parents.add(parent)
  }

  holds(path: Bytes): boolean {
    return this.#all.has(path) || parentsOf(path).some((parent) => this.#all.has(parent))
  }

  /** Whether it is a folder that something selected lies in. */
  isParent(path: Bytes): boolean {
    return this.#parents.has(path)
  }
}

function parentsOf(path: Bytes): Bytes[] {
  const parents: Bytes[] = []
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) parents.push(path.slice(0, at))
  return parents
}
