import type { Bytes } from './bytes.ts'

const SLASH = 0x2f

/**
 * The sorted names of one directory, those of directories with a '/' at the end. Packed outside the heap, because a million strings
 * there would cost a worker most of its memory.
 */
export class NameList {
  /** Each name is followed by a zero byte, which no name holds and which sorts before all others. */
  #bytes = Buffer.allocUnsafe(4096)
  #used = 0
  #starts = new Uint32Array(64)
  #count = 0

  add(name: Buffer, isFolder: boolean): void {
    this.#makeRoom(name.length + 2)
    this.#starts[this.#count++] = this.#used
    this.#used += name.copy(this.#bytes, this.#used)
    if (isFolder) this.#bytes[this.#used++] = SLASH
    this.#bytes[this.#used++] = 0
  }

  /** Bytewise, each once: a name that is removed and made again while its folder is listed may be listed twice. */
  sort(): this {
    const starts = this.#starts.subarray(0, this.#count).sort((left, right) => this.#compare(left, right))
    let kept = 0
    for (const start of starts) {
      const last = starts[kept - 1]
      if (last === undefined || this.#compare(last, start) !== 0) starts[kept++] = start
    }
    this.#count = kept
    return this
  }

  #compare(left: number, right: number): number {
    const bytes = this.#bytes
    let [one, other] = [left, right]
    while (bytes[one] === bytes[other] && bytes[one] !== 0) {
      one++
      other++
    }
    return (bytes[one] ?? 0) - (bytes[other] ?? 0)
  }

  /** undefined after the last. */
  at(index: number): Bytes | undefined {
    if (index >= this.#count) return undefined
    const start = this.#starts[index] ?? 0
    return this.#bytes.toString('latin1', start, this.#bytes.indexOf(0, start))
  }

  *[Symbol.iterator](): Generator<Bytes, void, undefined> {
    for (let index = 0; index < this.#count; index++) yield this.at(index) ?? ''
  }

  #makeRoom(length: number): void {
    if (this.#used + length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 1.5, this.#used + length))
      this.#bytes.copy(larger, 0, 0, this.#used)
      this.#bytes = larger
    }
    if (this.#count === this.#starts.length) {
      const larger = new Uint32Array(this.#starts.length * 2)
      larger.set(this.#starts)
      this.#starts = larger
    }
  }
}
