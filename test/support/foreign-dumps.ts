import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { inflateSync, zstdCompressSync } from 'node:zlib'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { openClientEnvironment } from '../../shared/postgres/environment.ts'
import { clients } from './postgres.ts'

const run = promisify(execFile)
const MOST = 1024 ** 3

const programs = () => {
  const [client] = clients
  if (!client) throw new Error('pg_dump is not installed')
  return client
}

/** A dump as somebody would make it by hand. `seekable`: into a file, which pg_dump goes back into to note where the data lie. */
export async function pgDump(url: string, args: readonly string[], { seekable = false } = {}): Promise<Buffer> {
  await using environment = await openClientEnvironment(parsePostgresUrl(url))
  const folder = await mkdtemp(join(tmpdir(), 'coffer-dump-'))
  try {
    const file = join(folder, 'dump')
    const output = seekable ? ['--file', file] : []
    const { stdout } = await run(programs().pgDump, ['--no-password', ...args, ...output], {
      env: environment.variables,
      maxBuffer: MOST,
      encoding: 'buffer',
    })
    return seekable ? await readFile(file) : stdout
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What pg_restore makes of it, as SQL, without the two lines that differ each time; rejects with what it says. */
export async function pgRestoreAsText(dump: Buffer): Promise<string> {
  const child = execFile(programs().pgRestore, ['--file', '-'], { maxBuffer: MOST, encoding: 'buffer' })
  const text: Buffer[] = []
  const said: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => text.push(Buffer.from(chunk)))
  child.stderr?.on('data', (chunk: Buffer) => said.push(Buffer.from(chunk)))
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(dump)
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(Buffer.concat(said).toString())
  return Buffer.concat(text)
    .toString('latin1')
    .replaceAll(/^\\(un)?restrict .*\n/gm, '')
}

const int = (value: number) => {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32LE(value, 1)
  return bytes
}

/**
 * A dump of format 1.14 with gzip as pg_dump ≥ 16 would write it (1.15) with another compression: no such pg_dump is on this machine. What
 * comes before the data differs in its version and in the one byte for the algorithm; each stream of data is compressed anew.
 */
export function recompressed(dump: Buffer, algorithm: 'zstd' | 'lz4'): Buffer {
  const start = dataStart(dump)
  const [minor, code] = [Buffer.from([15]), Buffer.from([algorithm === 'zstd' ? 3 : 2])]
  const parts = [dump.subarray(0, 6), minor, dump.subarray(7, 11), code, dump.subarray(16, start)]
  walk(dump, start, {
    between: (bytes) => parts.push(bytes),
    stream(compressed) {
      const data = zstdCompressSync(inflateSync(compressed))
      for (let from = 0; from < data.length; from += 1000) {
        const piece = data.subarray(from, from + 1000)
        parts.push(int(piece.length), piece)
      }
      parts.push(int(0))
    },
  })
  return Buffer.concat(parts)
}

/** The first place from which whole blocks of data lead to the very end. */
function dataStart(dump: Buffer): number {
  for (let at = 16; at < dump.length; at++)
    try {
      walk(dump, at, { between: () => undefined, stream: inflateSync })
      return at
    } catch {
      // No block begins here.
    }
  throw new Error('the dump has no data')
}

function walk(
  dump: Buffer,
  from: number,
  { between, stream }: { between: (bytes: Buffer) => unknown; stream: (compressed: Buffer) => unknown },
): void {
  let at = from
  const take = (count: number) => {
    if (at + count > dump.length) throw new Error('it ends early')
    return dump.subarray(at, (at += count))
  }
  while (at < dump.length) {
    const begin = take(6)
    if (begin[0] !== 1 && begin[0] !== 3) throw new Error('no block')
    between(begin)
    do {
      if (begin[0] === 3) {
        const object = take(5)
        between(object)
        if (object.readUInt32LE(1) === 0) break
      }
      const pieces: Buffer[] = []
      for (let length = take(5).readUInt32LE(1); length > 0; length = take(5).readUInt32LE(1)) pieces.push(take(length))
      stream(Buffer.concat(pieces))
    } while (begin[0] === 3)
  }
}
