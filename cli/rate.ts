import type { RunProgress } from './resources/backups.ts'

const WINDOW_MS = 10_000
const SAMPLE_MS = 100

/** Bytes per second over the last ten seconds of what the worker reported. */
export class RateMeter {
  #samples: { bytes: number; at: number }[] = []

  /** `at` in milliseconds. Bytes that shrink are a new attempt: the meter begins anew. */
  add(bytes: number, at: number): void {
    const last = this.#samples.at(-1)
    if (last && bytes < last.bytes) this.#samples = []
    else if (last && at - last.at < SAMPLE_MS) return
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

/** One meter for each thing that reports progress. */
export class Rates {
  readonly #meters = new Map<string, RateMeter>()

  of({ uuid, progress }: { uuid: string; progress?: RunProgress | null | undefined }): number | null {
    const meter = this.#meters.get(uuid) ?? new RateMeter()
    this.#meters.set(uuid, meter)
    if (progress) meter.add(progress.plain_bytes, Date.parse(progress.updated_at))
    return meter.perSecond
  }
}
