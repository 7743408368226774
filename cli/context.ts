import type { Readable } from 'node:stream'
import type { Address } from './address.ts'
import type { Api } from './api.ts'
import type { Output, Result } from './output.ts'

/** What every command works with. */
export interface Context {
  /** Finds the producer on first use, so that help and wrong usage need none. */
  readonly api: Api
  /** The API at an address that is not the one in use. */
  apiAt(address: Address): Api
  readonly loginsFile: string
  readonly output: Output
  readonly stdin: Readable & { isTTY?: boolean }
  readonly cwd: string
  /** Milliseconds. */
  readonly now: () => number
  readonly pollMs: number
  readonly graceMs: number
}

/** Makes a commander action of a command: calls it with the context and prints its result. */
export type Runner = <A extends unknown[]>(
  command: (context: Context, ...args: A) => Promise<Result>,
) => (...args: A) => Promise<void>
