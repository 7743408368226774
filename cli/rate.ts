const WINDOW_MS = 10_000

/** Bytes per second over the last ten seconds of what the worker reported. */
export class RateMeter {
  #samples: { bytes: number; at: number }[] = []

  /** `at` in milliseconds. Bytes that shrink are a new attempt: the meter begins anew. */
  add(bytes: number, at: number): void {
    const last = this.#samples.at(-1)
    if (last && bytes < last.bytes) this.#samples = []
    else if (last && at <= last.at) return
    this.#samples.push({ bytes, at })
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > WINDOW_MS) this.#samples.shift()
  }

  /** null until two samples are there. */
  get perSecond(): number | null {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)]
    if (!first || !last || last.at <= first.at) return null
    return ((last.bytes - first.bytes) * 1000) / (last.at - first.at)
  }
}
