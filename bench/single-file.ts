/**
 * What a restore of one file of 1 MB out of a large archive reads of the store, the list included: `node bench/single-file.ts [GiB]`.
 * The rest is incompressible in 10,000 small files and some large ones, and takes twice its size on the disk of the temporary folder.
 */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { countingStore } from '../test/support/counting-store.ts'
import { partOf } from '../test/support/media-restores.ts'
import { storeMedia } from '../test/support/stored-media.ts'
import { mediaRestorer } from '../workers/restore/restore-media.ts'

const MIB = 1024 * 1024
const { positionals } = parseArgs({ allowPositionals: true })
const gib = Number(positionals[0] ?? 4)

const folder = fs.mkdtempSync(join(tmpdir(), 'coffer-single-file-'))
process.on('exit', () => fs.rmSync(folder, { recursive: true }))

const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
  const begun = performance.now()
  const result = await work()
  console.log(`${name.padEnd(60)} ${((performance.now() - begun) / 1000).toFixed(1).padStart(8)} s`)
  return result
}

const block = randomBytes(16 * MIB)
fs.mkdirSync(`${folder}/in/small`, { recursive: true })
for (let index = 0; index < 10_000; index++)
  fs.writeFileSync(`${folder}/in/small/${index}.jpg`, block.subarray(index * 1000, index * 1000 + 4096))
for (let index = 0; index < gib * 4; index++) {
  const fd = fs.openSync(`${folder}/in/large-${index}`, 'w')
  for (let written = 0; written < 256; written += 16) fs.writeSync(fd, block)
  fs.closeSync(fd)
}
fs.writeFileSync(`${folder}/in/large-1-wanted`, randomBytes(MIB))

const media = await timed(`a backup of ${gib} GiB`, () => storeMedia(`${folder}/in`, folder))
const { store, count } = countingStore(`${folder}/store`)
const part = partOf(media, { root: `${folder}/out`, paths: ['large-1-wanted'], store })
const preflight = await timed('preflight, which reads the list', () => mediaRestorer.preflight(part))
await timed(preflight.method.slice(0, 60), () => mediaRestorer.restore(part, preflight))
const stored = media.artifacts.map(({ kind, stored_size: size }) => `${kind} ${(size / MIB).toFixed(1)} MiB`)
console.log(`in the store: ${stored.join(', ')}`)
console.log(`read of it: ${(count.bytes / MIB).toFixed(1)} MiB in ${count.ranges.length} requests, preflight included`)
const isEqual = fs.readFileSync(`${folder}/out/large-1-wanted`).equals(fs.readFileSync(`${folder}/in/large-1-wanted`))
if (!isEqual) throw new Error('the file that came back is another one')
