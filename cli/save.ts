import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CofferError } from '../shared/errors.ts'

/** What is fetched, and what it must turn out to be: `size` in bytes, `sha256` in lower-case hex; null for what is made as it is sent. */
export interface Fetched {
  name: string
  response: Response
  size: number | null
  sha256: string | null
}

export interface SaveOptions {
  signal: AbortSignal
  /** Hears the bytes so far. */
  onBytes: (bytes: number) => void
}

/**
 * Streams to `path`, under a temporary name in the same folder until size and checksum are proven; nothing is left of a failed one. The file
 * is readable by its owner only. Throws DOWNLOAD_BROKEN, OUTPUT_EXISTS, OUTPUT_FAILED or the reason of the signal.
 */
export async function saveToFile(path: string, fetched: Fetched, options: SaveOptions): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.part`)
  try {
    await transfer(
      fetched,
      createWriteStream(temporary, { flags: 'wx', mode: 0o600, flush: true }),
      path,
      options,
      true,
    )
    await refuseExisting(path)
    await rename(temporary, path)
  } catch (thrown) {
    await rm(temporary, { force: true })
    throw thrown instanceof CofferError || options.signal.aborted ? thrown : outputFailed(path, thrown)
  }
}

/** Streams to stdout. The checksum is known last: on DOWNLOAD_BROKEN what was written is not to be used. */
export async function saveToStream(stream: Writable, fetched: Fetched, options: SaveOptions): Promise<void> {
  await transfer(fetched, stream, 'stdout', options, false)
}

/** Makes the folder where it is not there. Throws OUTPUT_FAILED. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw outputFailed(path, cause)
  })
}

/** Throws OUTPUT_EXISTS when something has that name. */
export async function refuseExisting(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found) throw new CofferError('OUTPUT_EXISTS', `${path} exists already`)
}

async function transfer(fetched: Fetched, to: Writable, where: string, { signal, onBytes }: SaveOptions, end: boolean) {
  try {
    await pipeline(Readable.from(proven(fetched, onBytes), { objectMode: false }), to, { signal, end })
    if (!end) await flushed(to)
  } catch (thrown) {
    signal.throwIfAborted()
    throw thrown instanceof CofferError ? thrown : outputFailed(where, thrown)
  }
}

// A pipeline that leaves the stream open does not wait for the last bytes: a full disk would go unseen.
function flushed(stream: Writable): Promise<void> {
  return new Promise((resolve, reject) => stream.write('', (error) => (error ? reject(error) : resolve())))
}

// The types of the DOM's stream and of Node's differ; it is one object.
const bodyOf = ({ body }: Response) => (body ?? []) as AsyncIterable<Uint8Array> | Uint8Array[]

async function* proven({ name, response, size, sha256 }: Fetched, onBytes: (bytes: number) => void) {
  const hash = createHash('sha256')
  let bytes = 0
  try {
    for await (const chunk of bodyOf(response)) {
      hash.update(chunk)
      bytes += chunk.byteLength
      onBytes(bytes)
      yield chunk
    }
  } catch (cause) {
    throw new CofferError(
      'DOWNLOAD_BROKEN',
      `the download of ${name} broke off after ${bytes}${size === null ? '' : ` of ${size}`} bytes`,
      {
        cause,
      },
    )
  }
  if (size !== null && bytes !== size) {
    throw new CofferError(
      'DOWNLOAD_BROKEN',
      `the download of ${name} has ${bytes} bytes, not the ${size} that were announced`,
    )
  }
  const digest = hash.digest('hex')
  if (sha256 !== null && digest !== sha256) {
    throw new CofferError(
      'DOWNLOAD_BROKEN',
      `the download of ${name} has SHA-256 ${digest}, not the ${sha256} that was announced`,
    )
  }
}

function outputFailed(where: string, cause: unknown): CofferError {
  return new CofferError(
    'OUTPUT_FAILED',
    `cannot write to ${where}: ${cause instanceof Error ? cause.message : String(cause)}`,
    { cause },
  )
}
