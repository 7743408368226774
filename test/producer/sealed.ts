import { randomBytes } from 'node:crypto'
import { readFile, readdir, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { ArtifactKind, ArtifactRecord } from '../../shared/domain/artifact.ts'
import { writeArtifact } from '../../shared/pipeline/write-artifact.ts'
import { openStore } from '../../shared/storage/open-store.ts'
import type { TestProducer } from '../support/producer.ts'

const MIB = 1024 * 1024

export interface Sealed {
  backup: string
  part: string
  records: Record<string, ArtifactRecord>
  path: (kind: ArtifactKind) => string
}

/** A sealed service-instance backup: real artifacts in the store, and the rows that a worker would have left. */
export async function seal(
  at: TestProducer,
  recipient: string,
  contents: Partial<Record<ArtifactKind, Buffer>>,
): Promise<Sealed> {
  const post = async (resource: string, body: unknown) => (await at.ask('POST', `/apps/v3/${resource}/`, { body })).body
  const { uuid: application } = await post('applications', { slug: `shop-${randomBytes(4).toString('hex')}` })
  const { uuid: environment } = await post('environments', { application, slug: 'live' })
  const connection = { url: `file://${at.place.mediaRoot}/shop` }
  await post('service-instances', { environment, type: 'STORAGE', connection })
  const { uuid: backup, service_instance_backups: parts } = await post('backups', { environment })
  const [part = ''] = parts
  const store = openStore(at.place.env['COFFER_STORAGE_URL'] ?? '')
  const records: Record<string, ArtifactRecord> = {}
  for (const [kind, bytes] of Object.entries(contents) as [ArtifactKind, Buffer][]) {
    const key = `${backup}/${kind}`
    const options = { store, key, kind, source: slices(bytes), recipients: [recipient] }
    const { record } = await writeArtifact(options)
    records[kind] = record
    await at.catalog.query(
      'INSERT INTO artifacts (service_instance_backup_id, attempt, kind, key, record) VALUES ($1, 1, $2, $3, $4)',
      [part, kind, key, record],
    )
  }
  await at.catalog.query(
    `UPDATE service_instance_backups SET state = 'COMPLETED', success = 'SUCCESS', attempt = 1,
            store_id = (SELECT id FROM stores WHERE is_default), recipients = ARRAY[$2::text] WHERE id = $1`,
    [part, recipient],
  )
  return { backup, part, records, path: (kind) => join(at.place.storeFolder, backup, kind) }
}

async function* slices(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += MIB) yield await Promise.resolve(bytes.subarray(at, at + MIB))
}

export interface Item {
  uuid: string
  artifact: ArtifactKind
  filename: string
  stored_filename: string
  download_url: string
  stored_url: string
  size: number
  sha256: string
  errors: { code: string }[]
}

export async function linksTo(at: TestProducer, { backup, part }: Sealed): Promise<Item[]> {
  const body = { backup, service_instance_backups: [part], trigger: 'MANUAL' }
  const { uuid } = (await at.ask('POST', '/apps/v3/backup-downloads/', { body })).body
  const listed = await at.ask('GET', `/apps/v3/backup-download-service-instances/?backup=${uuid}`)
  const items = listed.body.results as unknown as Item[]
  const first = items[0]?.uuid ?? ''
  expect((await at.ask('GET', `/apps/v3/backup-download-service-instances/${first}`)).body).toEqual(items[0])
  return items
}

/** null: the connection broke before the announced end. */
export async function fetchBytes(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; bytes: Buffer | null }> {
  const response = await fetch(url, { headers })
  const bytes = await response.arrayBuffer().then(
    (buffer) => Buffer.from(buffer),
    () => null,
  )
  return { status: response.status, headers: response.headers, bytes }
}

/** Flips a bit so many bytes before the end. */
export async function damage(path: string, fromEnd: number): Promise<void> {
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - fromEnd) ^ 1, bytes.length - fromEnd)
  await writeFile(path, bytes)
}

/** Whether this process has the file open. */
export async function isOpen(path: string): Promise<boolean> {
  const fds = await readdir('/proc/self/fd')
  const targets = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.includes(path)
}
