/** What a fault does to a request that it strikes. Bytes are counted from the start of the body. */
export type Effect =
  /** Answered so without being applied. */
  | { kind: 'status'; status: number; code: string }
  /** A 200 whose body is an `<Error>`; not applied. */
  | { kind: 'error-in-200'; code: string }
  | { kind: 'delay'; ms: number }
  /** Falls silent until the connection closes: before anything is read or applied, or within the reply's body. */
  | { kind: 'stall'; when: 'before-headers' | 'after-headers' }
  /** Resets the connection after so many bytes of the request's body, or of the reply's body for GetObject. */
  | { kind: 'reset'; afterBytes: number }
  /** Applies the request, then closes the connection without an answer. */
  | { kind: 'drop-reply' }
  /** GetObject: turns one bit of the byte at this place. */
  | { kind: 'flip'; at: number }
  /** GetObject: announces the full length and ends after so many bytes. */
  | { kind: 'truncate'; afterBytes: number }

export type FaultScript = Effect & {
  /** An operation's name as the SDK has it; every operation when left out. */
  op?: string
  /** Of the key in the bucket; a string is the source of a regular expression. */
  key?: RegExp | string
  /** The first matching request that is struck, counted from 1 (the default). */
  from?: number
  /** How many matching requests are struck, 1 by default. */
  times?: number
}

export interface Fault {
  readonly struckTimes: number
  /** Resolves when the first request is struck. */
  readonly struck: Promise<void>
  /** Ends it for requests to come. */
  lift(): void
}

export class Faults {
  readonly #active = new Set<ActiveFault>()

  add(script: FaultScript): Fault {
    const fault = new ActiveFault(script, () => this.#active.delete(fault))
    this.#active.add(fault)
    return fault
  }

  /** The effect of the first fault that strikes this request. */
  strike(op: string, key: string): Effect | undefined {
    for (const fault of this.#active) {
      if (fault.strikes(op, key)) return fault.effect
    }
    return undefined
  }
}

class ActiveFault implements Fault {
  readonly effect: FaultScript
  readonly lift: () => void
  readonly struck: Promise<void>
  readonly #announce: () => void
  #matched = 0
  struckTimes = 0

  constructor(script: FaultScript, lift: () => void) {
    this.effect = script
    this.lift = lift
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.struck = promise
    this.#announce = () => resolve(undefined)
  }

  strikes(op: string, key: string): boolean {
    const { op: wanted, key: pattern, from = 1, times = 1 } = this.effect
    if (wanted !== undefined && wanted !== op) return false
    if (pattern !== undefined && !new RegExp(pattern).test(key)) return false
    this.#matched += 1
    if (this.#matched < from || this.#matched >= from + times) return false
    this.struckTimes += 1
    this.#announce()
    return true
  }
}
