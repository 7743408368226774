import { execFileSync } from 'node:child_process'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestCoffer, type TestCoffer } from '../support/coffer.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { pgDump, pgRestoreAsText } from '../support/foreign-dumps.ts'
import { untar } from '../support/media-archives.ts'
import { look } from '../support/media-zoo.ts'
import { fillFolder, fillTable, inDatabase } from '../support/sample-data.ts'
import { startProducerOf, type CofferProducer } from '../support/uploads.ts'
import { follow, type Known } from './divio-client.ts'

// The requests are those of github.com/divio/divio-cli: `divio_cli/cloud.py` (create_backup, create_backup_download, backup_upload_request,
// finish_backup_upload, create_backup_restore), `divio_cli/localdev/backups.py` and `push.py` (the order, and what is waited for),
// `divio_cli/api_requests.py` (paths; every v3 request carries a JSON body, GET too; one path has no slash at its end) and
// `divio_cli/utils.py` (page_size of lists). It sends no field that these routes do not know:
//   POST backups            environment, services, trigger, scheduled_for_deletion_at (…Z), notes
//   POST backup-downloads   backup, service_instance_backups, trigger
//   POST backups/upload     environment, services, scheduled_for_deletion_at (…+00:00, with microseconds), notes
//   POST backup-restores    backup, service_instance_restores[{service_instance_backup}]
//   POST <finish_url>       nothing, and no token
// so none has to be let through, and mistyped ones go on being refused.

let coffer: TestCoffer
let producer: CofferProducer
let source: TestDatabase
let media: { path: string; url: string }

beforeAll(async () => {
  coffer = await startTestCoffer()
  producer = await startProducerOf(coffer)
  source = await createTestDatabase()
  await fillTable(source.url, 500)
  media = await coffer.mediaRoot('shop')
  await fillFolder(media.path, 120)
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  await coffer.worker()
})
afterAll(async () => {
  await producer[Symbol.asyncDispose]()
  await coffer[Symbol.asyncDispose]()
  await source.drop()
})

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

/** The first of the list is the one that the client looks for by its type; here it is given. */
async function pull(type: 'DATABASE' | 'STORAGE'): Promise<{ known: Known; file: Buffer }> {
  const artifact = type === 'DATABASE' ? 'dump' : 'archive'
  const [service] = await coffer.catalog.query<{ id: string }>('SELECT id FROM service_instances WHERE type = $1', [
    type,
  ])
  const known = await follow('pull', {
    url: producer.url,
    token: producer.adminToken,
    known: { type, artifact, inAnHourZ: inAnHour(), service: service?.id ?? '' },
  })
  const response = await fetch(known['downloadUrl'] ?? '')
  return { known, file: Buffer.from(await response.arrayBuffer()) }
}

const push = (known: Known, file: Buffer) =>
  follow('push', {
    url: producer.url,
    token: producer.adminToken,
    known: { ...known, inAnHourOffset: inAnHour().replace('Z', '456+00:00') },
    file,
  })

const ROWS = `SELECT count(*), md5(string_agg(body, ',' ORDER BY id)) FROM item`

describe('a client of Divio', () => {
  test('pulls a database, which pg_restore reads, and pushes it back', async () => {
    const before = await inDatabase(source.url, ROWS)
    const { known, file } = await pull('DATABASE')
    expect(await pgRestoreAsText(file)).toBe(await pgRestoreAsText(await pgDump(source.url, ['--format=custom'])))
    const pushed = await pgDump(source.url, ['--format=custom', '--no-owner', '--no-privileges'])
    // A living target: rows are gone, and a table is there that the dump knows nothing of.
    await inDatabase(
      source.url,
      'DELETE FROM item WHERE ctid IN (SELECT ctid FROM item LIMIT 1)',
      'CREATE TABLE later (id int)',
    )

    await push(known, pushed)
    expect(await inDatabase(source.url, ROWS)).toEqual(before)
    expect(await inDatabase(source.url, `SELECT to_regclass('later') AS later`)).toEqual([{ later: null }])
  })

  test('pulls media, which tar reads, and pushes them back', async () => {
    const before = [...look(media.path)].map(([path, { sha256 }]) => [path, sha256])
    const { known, file } = await pull('STORAGE')
    const folder = `${coffer.folder}/pulled`
    untar(file, folder)
    await rm(`${folder}/MANIFEST`)
    expect([...look(folder)].map(([path, { sha256 }]) => [path, sha256])).toEqual(before)
    const pushed = execFileSync('tar', ['-C', folder, '-czf', '-', '.'], { maxBuffer: 64 * 1024 * 1024 })
    const [first = ''] = await readdir(media.path)
    await rm(`${media.path}/${first}`, { recursive: true })
    await writeFile(`${media.path}/later`, 'of no backup')

    await push(known, pushed)
    expect([...look(media.path)].map(([path, { sha256 }]) => [path, sha256])).toEqual(before)
  })
})
