import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { pgBinFolders } from '../../scripts/services/binaries.ts'
import { parsePostgresUrl } from '../../shared/postgres/connection.ts'
import { startTestCoffer } from '../support/coffer.ts'
import { fingerprint, makeDatabaseZoo } from '../support/database-zoo.ts'
import { createTestDatabase } from '../support/databases.ts'
import { look, makeZoo } from '../support/media-zoo.ts'
import { dumpAsText, query } from '../support/postgres.ts'
import { until } from '../support/until.ts'

const run = promisify(execFile)

/** The commands of the page, in its order. */
async function commandsOf(page: string): Promise<string> {
  const text = await readFile(page, 'utf8')
  return [...text.matchAll(/^```bash\n(.*?)^```$/gms)].map(([, block]) => block).join('\n')
}

test('the commands of recover-without-coffer.md give the newest backup back, from the store and the key alone', async () => {
  await using coffer = await startTestCoffer()
  const source = await createTestDatabase()
  await makeDatabaseZoo(source.url)
  const media = await coffer.mediaRoot('shop')
  makeZoo(media.path)
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  const worker = await coffer.worker()
  const older = [await coffer.backup(), await coffer.backup()]
  for (const { uuid } of older) expect((await coffer.ended(uuid)).success).toBe('SUCCESS')
  // A dump knows the moment that it is from by the second.
  const second = Math.floor(Date.now() / 1000)
  await until(() => Promise.resolve(Math.floor(Date.now() / 1000) > second))
  await query(source.url, 'CREATE TABLE newest ()')
  await writeFile(join(media.path, 'MANIFEST'), 'this file belongs to the application')
  const before = { database: await dumpAsText(parsePostgresUrl(source.url)), media: look(media.path) }
  expect((await coffer.ended((await coffer.backup()).uuid)).success).toBe('SUCCESS')
  await worker.stop()

  const target = await createTestDatabase()
  const work = join(coffer.folder, 'recovered')
  await mkdir(work)
  const { stdout } = await run('bash', ['-c', await commandsOf('docs/recover-without-coffer.md')], {
    env: {
      PATH: [pgBinFolders(process.env)[0]?.folder, process.env.PATH].join(':'),
      KEY: join(coffer.folder, 'identity.txt'),
      STORE: join(coffer.folder, 'store'),
      WORK: work,
      TARGET: target.url,
    },
  })

  expect(stdout.match(/^whole: /gm)).toHaveLength(3)
  expect(await dumpAsText(parsePostgresUrl(target.url))).toBe(before.database)
  expect(await fingerprint(target.url)).toEqual(await fingerprint(source.url))
  expect(look(join(work, 'media'))).toEqual(before.media)
  expect(before.media.get('MANIFEST')?.size).toBe(36)
  await target.drop()
  await source.drop()
})
