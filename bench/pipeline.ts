/**
 * Throughput and memory of the pipeline beside the public tools, on the same bytes in the same run:
 * `node bench/pipeline.ts [MiB]`. Needs the programs age and zstd.
 */
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { Encrypter } from 'age-encryption'
import { CofferError } from '../shared/errors.ts'
import { createAgeHeader, generateIdentity } from '../shared/pipeline/age-header.ts'
import { encryptAge } from '../shared/pipeline/age-stream.ts'
import { readFromChild, writeToChild, type ChildCommand } from '../shared/pipeline/child.ts'
import { writeArtifact } from '../shared/pipeline/write-artifact.ts'
import { compressFrames } from '../shared/pipeline/zstd-frames.ts'

const MIB = 1024 * 1024
const { positionals } = parseArgs({ allowPositionals: true })
const totalMib = Number(positionals[0] ?? 1024)
const packageMib = Math.min(totalMib, 128)

/** Rows like a dump's: about a third of each is random, so that it compresses to about that. Made without garbage. */
function rows(): Buffer {
  const bytes = Buffer.alloc(16 * MIB)
  for (let id = 0, at = 0; at < bytes.length; id++) {
    const day = (id % 28) + 1
    at += bytes.write(`${id}\t2026-03-${day} 12:00:00+00\t`, at)
    at += bytes.write(randomBytes(12).toString('hex'), at)
    at += bytes.write(`\tpending\tcustomer ${id % 977}\t\\N\n`, at)
  }
  return bytes
}

const sample = rows()

async function* source(mib: number): AsyncGenerator<Buffer> {
  for (let sent = 0; sent < mib * MIB; sent += 64 * 1024) {
    const at = sent % (sample.length - 64 * 1024)
    yield await Promise.resolve(sample.subarray(at, at + 64 * 1024))
  }
}

async function discard(body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0
  for await (const chunk of body) size += chunk.length
  return size
}

async function rate(name: string, mib: number, run: () => Promise<unknown>): Promise<number> {
  const cpuBefore = process.cpuUsage()
  const begun = performance.now()
  await run()
  const seconds = (performance.now() - begun) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  const own = ((cpu.user + cpu.system) / 1e6 / mib) * 1024
  console.log(
    `${name.padEnd(40)} ${(mib / seconds).toFixed(0).padStart(6)} MiB/s  ${own.toFixed(2)} CPU s/GiB in this process`,
  )
  return mib / seconds
}

function shell(script: string): ChildCommand {
  return {
    program: 'sh',
    args: ['-c', script],
    env: { PATH: process.env.PATH ?? '' },
    onFailure: (exit) => new CofferError('INTERNAL', `${script}: ${exit.stderrTail}`),
  }
}

const { recipient } = await generateIdentity()
console.log(`${totalMib} MiB, ${availableParallelism()} cores, node ${process.version}`)

const store = {
  write: async (key: string, body: AsyncIterable<Uint8Array>) =>
    ({ key, size: await discard(body), confirmedBy: 'size' }) as const,
  read: () => Promise.reject(new CofferError('OBJECT_NOT_FOUND', 'everything was discarded')),
}
const whole = await rate('pipeline: sha256, zstd, age, sha256', totalMib, () =>
  writeArtifact({ store, key: 'bench', kind: 'dump', source: source(totalMib), recipients: [recipient] }),
)
console.log(`peak RSS so far ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`)
const tools = await rate('zstd -T0 | age (programs, no digests)', totalMib, () =>
  writeToChild(shell(`zstd -q -T0 -c | age -r ${recipient} >/dev/null`), source(totalMib)),
)
await rate('of these: zstd frames alone', totalMib, () => discard(compressFrames(source(totalMib))))

const ours = await rate('age payload, ours', totalMib, async () =>
  discard(encryptAge(source(totalMib), await createAgeHeader([recipient]))),
)
const program = await rate('age payload, program', totalMib, () =>
  writeToChild(shell(`age -r ${recipient} >/dev/null`), source(totalMib)),
)
const byPackage = await rate('age payload, package age-encryption', packageMib, async () => {
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  await discard(await encrypter.encrypt(ReadableStream.from(source(packageMib))))
})
await rate('read from a child program', totalMib, () =>
  discard(readFromChild(shell(`head -c ${totalMib * MIB} /dev/zero`))),
)

console.log(`pipeline : programs       ${(whole / tools).toFixed(2)}`)
console.log(`age ours : program        ${(ours / program).toFixed(2)}`)
console.log(`age ours : package        ${(ours / byPackage).toFixed(2)}`)
