/** Gathers small pieces into blocks worth passing on, and keeps count of the position in the whole. */
export class BlockBuffer {
  readonly #size: number
  #pieces: Buffer[] = []
  #gathered = 0
  #position = 0

  constructor(size: number) {
    this.#size = size
  }

  /** Bytes added so far. */
  get position(): number {
    return this.#position
  }

  get isFull(): boolean {
    return this.#gathered >= this.#size
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#gathered += piece.length
    this.#position += piece.length
  }

  /** Everything gathered, as one block. */
  take(): Buffer {
    const block = this.#pieces.length === 1 ? this.#pieces[0] : undefined
    const taken = block ?? Buffer.concat(this.#pieces, this.#gathered)
    this.#pieces = []
    this.#gathered = 0
    return taken
  }
}
