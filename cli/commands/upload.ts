import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import { Api } from '../api.ts'
import { followBackup, readBackup, reported } from '../backup-report.ts'
import type { Context, Runner } from '../context.ts'
import { downloadLine } from '../download.ts'
import { BACKUPS, findService } from '../names.ts'
import type { Result } from '../output.ts'
import { openProgress } from '../progress.ts'
import { RateMeter } from '../rate.ts'
import { Backup } from '../resources/backups.ts'
import { Upload, type UploadTarget } from '../resources/transfers.ts'
import { send } from '../send.ts'
import { formatBytes } from '../text.ts'
import { deadline } from '../waiting.ts'
import { checkWait, withWait, type WaitOptions } from './wait-options.ts'

/** Also after a Ctrl-C, which ends every other request. */
const CANCEL_TIMEOUT_MS = 5_000

interface UploadOptions extends WaitOptions {
  notes?: string
}

interface Input {
  stream: Readable
  name: string
  /** Bytes; null: nobody knows. */
  size: number | null
}

export function addUploadCommand(program: Command, run: Runner): void {
  withWait(program.command('upload <service> <file>'))
    .description('make a backup of a dump (pg_dump -Fc) or a tar, plain or gzip, from a file or stdin (-)')
    .option('--notes <text>', 'where it comes from')
    .action(run(upload))
}

async function upload(context: Context, name: string, file: string, options: UploadOptions): Promise<Result> {
  checkWait(options)
  const startedAt = context.now()
  using limit = deadline(options.timeout, `the upload to ${name}`)
  const api = context.api.until(limit.signal)
  const service = await findService(api, name)
  const input = await openInput(context, file)
  try {
    const body = {
      environment: service.environment,
      services: [service.uuid],
      ...(options.notes === undefined ? {} : { notes: options.notes }),
    }
    const { uuid, results } = await api.post(`${BACKUPS}upload/`, body, Upload)
    const target = results[service.uuid]
    if (!target) throw new CofferError('ANSWER_INVALID', `the producer gave no address to upload to for ${name}`)
    try {
      await sendInput({ ...context, api }, input, target)
    } catch (thrown) {
      // Else it would stay open until it expires.
      const last = new Api(context.api.address, AbortSignal.timeout(CANCEL_TIMEOUT_MS))
      await last.post(`${BACKUPS}${uuid}/cancel/`, {}, Backup).catch(() => undefined)
      throw thrown
    }
    context.output.note(`backup ${uuid} of ${input.name} is queued`)
    if (options.wait !== true) return reported(await readBackup(api, uuid))
    const left = options.timeout === undefined ? undefined : options.timeout - (context.now() - startedAt)
    return await followBackup(context, uuid, left)
  } finally {
    input.stream.destroy()
  }
}

async function sendInput(context: Context, { stream, name, size }: Input, target: UploadTarget): Promise<void> {
  const { url, max_file_size: most } = target.upload_parameters
  if (size !== null && size > most)
    throw new CofferError(
      'USAGE_INVALID',
      `${name} has ${formatBytes(size)}; the producer takes at most ${formatBytes(most)}`,
    )
  using display = openProgress(context.output, context.now)
  const meter = new RateMeter()
  await send(context.api, url, { stream, name, size }, (bytes) => {
    meter.add(bytes, context.now())
    display.show([{ key: name, state: 'sending', line: downloadLine(name, bytes, size ?? 0, meter.perSecond) }])
  })
  await context.api.postLink(target.finish_url)
}

async function openInput({ cwd, stdin }: Context, file: string): Promise<Input> {
  if (file === '-') return { stream: stdin, name: 'stdin', size: null }
  try {
    const handle = await open(resolve(cwd, file))
    const stats = await handle.stat()
    const stream = handle.createReadStream()
    if (stats.isFile()) return { stream, name: basename(file), size: stats.size }
    stream.destroy()
    await once(stream, 'close')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CofferError('USAGE_INVALID', `cannot read ${file}: ${why}`, { cause })
  }
  throw new CofferError('USAGE_INVALID', `${file} is no file`)
}
