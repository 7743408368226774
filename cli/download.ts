import { stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { CofferError } from '../shared/errors.ts'
import type { Context } from './context.ts'
import type { ProgressDisplay } from './progress.ts'
import { RateMeter } from './rate.ts'
import { Download, DownloadItem } from './resources/transfers.ts'
import type { ServiceInstanceBackup } from './resources/backups.ts'
import { makeFolder, refuseExisting, saveToFile, saveToStream } from './save.ts'
import { formatBytes, formatBytesOf, formatShare } from './text.ts'
import { waitUntil } from './waiting.ts'

export type Form = 'plain' | 'stored'

/** One thing to fetch: `path` null is stdout; `size` in bytes and `sha256` as they were recorded when it was sealed. */
export interface Planned {
  item: DownloadItem
  link: string
  name: string
  path: string | null
  size: number
  sha256: string
}

/** The zip of everything, which is made as it is sent: its size and checksum nobody knows before. */
export interface PlannedBundle {
  link: string
  name: string
  path: string | null
  size: null
  sha256: null
}

/** Asks for a download (of everything, when `wanted` is empty) and waits until each line of it is prepared. */
export async function prepareDownload(
  { api, ...patience }: Context,
  backup: string,
  wanted: readonly ServiceInstanceBackup[],
): Promise<{ items: DownloadItem[]; bundle: string | null }> {
  const only = wanted.length > 0 ? { service_instance_backups: wanted.map(({ uuid }) => uuid) } : {}
  const body = { backup, trigger: 'MANUAL', ...only }
  const { uuid, bundle_url: bundle } = await api.post('/apps/v3/backup-downloads/', body, Download)
  const items = await waitUntil(
    () => api.list('/apps/v3/backup-download-service-instances/', { backup: uuid }, DownloadItem),
    (items) => items.every(({ ended_at: endedAt }) => endedAt !== null),
    () => undefined,
    { ...patience, signal: api.signal },
  )
  return { items, bundle: bundle ?? null }
}

/** The bundle into a folder, under the backup's uuid, into a file, or to stdout (`-`). Throws OUTPUT_EXISTS or KEY_MISSING. */
export async function planBundle(
  link: string | null,
  backup: string,
  output: string,
  cwd: string,
): Promise<PlannedBundle> {
  if (link === null)
    throw new CofferError('KEY_MISSING', 'the producer has no key to make a bundle; fetch it with --stored instead')
  const name = safeName(`${backup}.zip`)
  const path = resolve(cwd, output)
  const intoFolder = output.endsWith('/') || (await isFolder(path))
  const planned = output === '-' ? null : intoFolder ? join(path, name) : path
  if (planned !== null) await refuseExisting(planned)
  if (intoFolder) await makeFolder(path)
  return { link, name, path: planned, size: null, sha256: null }
}

/**
 * Decides where everything goes, before the first byte: into a folder under the producer's file names, or, for one service-instance backup, its
 * dump or archive into a file or to stdout (`-`). Throws USAGE_INVALID, OUTPUT_EXISTS, KEY_MISSING or ANSWER_INVALID.
 */
export async function planOutput(
  offered: readonly DownloadItem[],
  form: Form,
  output: string,
  cwd: string,
): Promise<Planned[]> {
  const path = resolve(cwd, output)
  const intoFolder = output !== '-' && (output.endsWith('/') || (await isFolder(path)))
  const items = intoFolder ? offered : offered.filter(({ artifact }) => artifact !== 'file-list')
  if (!intoFolder && items.length > 1) {
    throw new CofferError(
      'USAGE_INVALID',
      `--output ${output} takes one, and there are ${items.length}: choose with --service, or name a folder`,
    )
  }
  const planned = items.map((item) => {
    const chosen = form === 'plain' ? plainOf(item) : storedOf(item)
    return { ...chosen, item, path: intoFolder ? join(path, safeName(chosen.name)) : output === '-' ? null : path }
  })
  refuseTwins(planned)
  for (const one of planned) if (one.path !== null) await refuseExisting(one.path)
  if (intoFolder) await makeFolder(path)
  return planned
}

const isFolder = async (path: string) => (await stat(path).catch(() => null))?.isDirectory() ?? false

function plainOf({ download_url: link, filename: name, size, sha256 }: DownloadItem) {
  if (link !== null) return { link, name, size, sha256 }
  throw new CofferError(
    'KEY_MISSING',
    `the producer has no key to decrypt ${name}; fetch it with --stored and decrypt it yourself`,
  )
}

function storedOf({ stored_url: link, stored_filename: name, stored_size: size, stored_sha256: sha256 }: DownloadItem) {
  return { link, name, size, sha256 }
}

/** A name from elsewhere must not choose the folder, nor be a hidden file's. */
function safeName(name: string): string {
  if (name !== basename(name) || /^$|^\.|[\u0000-\u001f\\]/.test(name)) {
    throw new CofferError(
      'ANSWER_INVALID',
      `the producer names a file ${JSON.stringify(name)}, which is no plain file name`,
    )
  }
  return name
}

function refuseTwins(planned: readonly Planned[]): void {
  const names = planned.map(({ name }) => name)
  const twin = names.find((name, index) => names.indexOf(name) !== index)
  if (twin !== undefined)
    throw new CofferError('ANSWER_INVALID', `the producer names two files ${twin}: choose one with --service`)
}

/** One after the other. */
export async function fetchAll(
  plan: readonly (Planned | PlannedBundle)[],
  { api, output, now }: Context,
  display: ProgressDisplay,
): Promise<void> {
  for (const { link, name, path, size, sha256 } of plan) {
    const meter = new RateMeter()
    const onBytes = (bytes: number) => {
      meter.add(bytes, now())
      display.show([{ key: name, state: 'fetching', line: downloadLine(name, bytes, size ?? 0, meter.perSecond) }])
    }
    const fetched = { name, response: await api.open(link), size, sha256 }
    const options = { signal: api.signal, onBytes }
    await (path === null ? saveToStream(output.stdout, fetched, options) : saveToFile(path, fetched, options))
  }
}

/** `size` (0: not known) and `bytes` in bytes, `rate` in bytes per second. */
export function downloadLine(name: string, bytes: number, size: number, rate: number | null): string {
  return [
    ...(size > 0 ? [formatShare(Math.min(bytes / size, 1))] : []),
    size > 0 || bytes === 0 ? formatBytesOf(bytes, size) : formatBytes(bytes),
    ...(rate === null ? [] : [`${formatBytes(rate)}/s`]),
    name,
  ].join('  ')
}
