import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureTestServices } from '../scripts/services/test-services.ts'
import { startTestCoffer } from '../test/support/coffer.ts'
import { createTestDatabase } from '../test/support/databases.ts'
import { startS3Server } from '../test/support/s3-server/server.ts'
import { fillFolder, fillTable } from '../test/support/sample-data.ts'

// Peak memory of a worker on large sources: `npm run bench:memory [-- <GiB of dump> <files>]`. TMPDIR of the worker may be tiny: it uses none.
const [gibibytes = 2, files = 50_000] = process.argv.slice(2).map(Number)
const ROW_BYTES = 8_192

const services = await ensureTestServices(process.env)
process.env.COFFER_TEST_DATABASE_URL = services.databaseUrl
process.env.COFFER_TEST_REDIS_URL = services.redisUrl
const workerTmp = process.env.COFFER_BENCH_TMPDIR ?? tmpdir()

try {
  const source = await createTestDatabase()
  await fillTable(source.url, Math.ceil((gibibytes * 2 ** 30) / ROW_BYTES), ROW_BYTES)
  for (const kind of ['file', 's3'] as const) {
    const objects = await mkdtemp(join(tmpdir(), 'coffer-bench-'))
    await using s3 = kind === 's3' ? await startS3Server({ keep: { folder: objects } }) : null
    await using coffer = await startTestCoffer({ s3, env: { TMPDIR: workerTmp, COFFER_WORKER_CONCURRENCY: '1' } })
    const media = join(coffer.folder, 'media', 'many')
    await mkdir(media)
    await fillFolder(media, files, 1_024)
    const database = await coffer.addService('DATABASE', source.url)
    const storage = await coffer.addService('STORAGE', new URL(`file://${media}`).href)
    for (const [name, service] of [
      [`${gibibytes} GiB dump`, database],
      [`${files} files`, storage],
    ] as const) {
      const worker = await coffer.worker()
      const startedAt = performance.now()
      const { uuid } = await coffer.backup({ services: [service] })
      const { success } = await coffer.ended(uuid)
      const seconds = (performance.now() - startedAt) / 1000
      const [part] = await coffer.parts(uuid)
      const plain = part?.artifacts.reduce((sum, artifact) => sum + artifact.plain_size, 0) ?? 0
      process.stdout.write(
        `${kind} store, ${name}: ${success}, ${(plain / 2 ** 20).toFixed(0)} MiB plain in ${seconds.toFixed(1)} s, ` +
          `peak RSS ${(await worker.peakRssMiB()).toFixed(0)} MiB\n`,
      )
      await worker.stop()
    }
    await rm(objects, { recursive: true })
  }
  await source.drop()
} finally {
  await services.stop()
}
