import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createBackup } from '../../shared/catalog/backups.ts'
import { createRestore, type NewRestore, type NewRestorePart } from '../../shared/catalog/restore-requests.ts'
import { getRestore, type RestoreView, type ServiceInstanceRestoreView } from '../../shared/catalog/restores.ts'
import { takeDump } from '../../workers/dump/take-dump.ts'
import { takeArchive } from '../../workers/media-archive/take-archive.ts'
import { processRun } from '../../workers/run-processor.ts'
import { startClockedWorker } from './clocked-worker.ts'
import type { TestCoffer } from './coffer.ts'
import { look } from './media-zoo.ts'
import { fillFolder, fillTable, inDatabase } from './sample-data.ts'
import { until } from './until.ts'

const SCOPE = { organisationId: null }

export interface RestoreRequest extends Partial<Pick<NewRestore, 'confirm' | 'safetyBackup' | 'notes'>> {
  /** Service instances by type, where not to where the backup is from. */
  into?: Record<string, string>
  selection?: NewRestorePart['selection']
  now?: Date
}

/** Asks for a restore of all of a backup. @returns its id */
export async function startRestore(
  coffer: TestCoffer,
  backupId: string,
  { into = {}, selection, now = new Date(), notes = '', ...request }: RestoreRequest = {},
): Promise<string> {
  const parts = await coffer.parts(backupId)
  const restore = await createRestore(coffer.catalog, {
    backupId,
    targets: parts.map((part) => ({
      serviceInstanceBackupId: part.uuid,
      serviceInstanceId: into[part.service_type],
      selection,
    })),
    notes,
    scope: SCOPE,
    now,
    ...request,
  })
  coffer.ringer.nudge()
  return restore.uuid
}

export const restoreOf = (coffer: TestCoffer, id: string): Promise<RestoreView> => getRestore(coffer.catalog, id, SCOPE)

/** The only part of a restore. */
export async function partOf(coffer: TestCoffer, id: string): Promise<ServiceInstanceRestoreView> {
  const [part, ...others] = (await restoreOf(coffer, id)).service_instance_restores
  if (!part || others.length > 0) throw new Error(`restore ${id} has ${others.length + 1} parts`)
  return part
}

/** Resolves when the restore has ended, however. */
export const endOfRestore = (coffer: TestCoffer, id: string): Promise<RestoreView> =>
  until(async () => {
    const restore = await restoreOf(coffer, id)
    return restore.finished && restore
  })

/** The same for a restore of one part. */
export async function endOfPart(coffer: TestCoffer, id: string): Promise<ServiceInstanceRestoreView> {
  await endOfRestore(coffer, id)
  return partOf(coffer, id)
}

/** Every entry by lstat and hash, without its times. */
export const seen = (root: string) =>
  [...look(root)].filter(([path]) => path !== '').map(([path, entry]) => ({ ...entry, path, mtimeNs: 0n }))

/** A backup of these service instances, taken in this process: no worker process is needed. @returns its id */
export async function backUp(coffer: TestCoffer, services: string[]): Promise<string> {
  await using worker = await startClockedWorker(coffer, { now: new Date() })
  const { uuid } = await createBackup(coffer.catalog, {
    environmentId: coffer.environmentId,
    services,
    trigger: 'MANUAL',
    notes: '',
    scheduledForDeletionAt: null,
    maxTries: 1,
    scope: SCOPE,
    now: new Date(),
  })
  for (const { uuid: id, service_type: type } of await coffer.parts(uuid))
    await processRun(worker.context, type === 'DATABASE' ? takeDump : takeArchive, {
      data: { id, attempt: 1 },
      attemptsMade: 0,
    })
  // A worker that listens may have been first.
  await coffer.ended(uuid)
  return uuid
}

export interface BackedUp {
  backupId: string
  serviceId: string
}

/** A media folder of so many files, backed up, that has been changed since: a file rewritten, one gone, one new. */
export async function changedMedia(
  coffer: TestCoffer,
  files = 30,
): Promise<BackedUp & { path: string; before: ReturnType<typeof seen>; after: ReturnType<typeof seen> }> {
  const { path, url } = await coffer.mediaRoot('shop')
  await fillFolder(path, files)
  const serviceId = await coffer.addService('STORAGE', url)
  const before = seen(path)
  const backupId = await backUp(coffer, [serviceId])
  await writeFile(join(path, 'folder-0/file-0.txt'), 'rewritten since')
  await rm(join(path, 'folder-0/file-1.txt'))
  await writeFile(join(path, 'new since.txt'), 'new')
  return { backupId, serviceId, path, before, after: seen(path) }
}

/** Rows by hash, the state of the sequence, and the tables there are. */
export async function stateOfDatabase(url: string): Promise<unknown[]> {
  const tables = await inDatabase(
    url,
    `SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1`,
  )
  const rows = await inDatabase(
    url,
    `SELECT count(*)::int AS rows, md5(string_agg(i::text, ',' ORDER BY id)) AS hash, (SELECT last_value FROM item_id_seq) AS sequence FROM item i`,
  )
  return [tables, rows]
}

/** A database of so many rows, backed up, that a deployment has changed since: rows rewritten, and a table that refers to the old one. */
export async function changedDatabase(
  coffer: TestCoffer,
  url: string,
  rows = 500,
): Promise<BackedUp & { before: unknown[]; after: unknown[] }> {
  await fillTable(url, rows)
  const serviceId = await coffer.addService('DATABASE', url)
  const before = await stateOfDatabase(url)
  const backupId = await backUp(coffer, [serviceId])
  await inDatabase(
    url,
    `CREATE TABLE later (id int PRIMARY KEY, item bigint REFERENCES item); INSERT INTO later SELECT id, id FROM item;
     UPDATE item SET body = 'rewritten'; INSERT INTO item (body) VALUES ('new')`,
  )
  return { backupId, serviceId, before, after: await stateOfDatabase(url) }
}
