import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Decrypter, Encrypter } from 'age-encryption'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { CofferError } from '../../shared/errors.ts'
import { createAgeHeader, generateIdentity, openAgeHeader } from '../../shared/pipeline/age-header.ts'
import { decryptAge, encryptAge } from '../../shared/pipeline/age-stream.ts'
import { drain, inPieces, sampleBytes } from '../support/streams.ts'

const CHUNK = 64 * 1024
const SEALED = CHUNK + 16
const SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1]
const PIECES = [1, 997, CHUNK - 1, CHUNK, CHUNK + 1, 10 * CHUNK]

let service: { identity: string; recipient: string }
let recovery: { identity: string; recipient: string }
let folder: string

beforeAll(async () => {
  service = await generateIdentity()
  recovery = await generateIdentity()
  folder = mkdtempSync(join(tmpdir(), 'coffer-age-'))
  writeFileSync(join(folder, 'key'), service.identity, { mode: 0o600 })
})
afterAll(() => rmSync(folder, { recursive: true }))

async function encrypt(plain: Buffer, pieces?: number): Promise<Buffer> {
  const header = await createAgeHeader([service.recipient, recovery.recipient])
  return drain(encryptAge(inPieces(plain, pieces), header))
}

const decrypt = (
  stored: Buffer,
  { pieces, identity = service.identity }: { pieces?: number; identity?: string } = {},
) => drain(decryptAge(inPieces(stored, pieces), (header) => openAgeHeader(header, [identity])))

function age(args: string[], input: Buffer): Buffer {
  const { status, stdout, stderr } = spawnSync('age', args, { input, maxBuffer: 1e9 })
  if (status !== 0) throw new Error(`age: ${stderr.toString()}`)
  return stdout
}

/** Where the payload begins: after the header and its nonce. */
const payloadStart = (stored: Buffer) => stored.indexOf('\n', stored.indexOf('\n---') + 1) + 1 + 16

describe.each(SIZES)('%i plain bytes', (size) => {
  const plain = sampleBytes(size)

  test('come back, whatever the size of the pieces', async () => {
    for (const pieces of PIECES) {
      const stored = await encrypt(plain, pieces)
      expect(stored.length - payloadStart(stored)).toBe(size + 16 * Math.max(1, Math.ceil(size / CHUNK)))
      expect((await decrypt(stored, { pieces })).equals(plain)).toBe(true)
    }
  })

  test('are read by the age program and by the package', async () => {
    const stored = await encrypt(plain)
    expect(age(['-d', '-i', join(folder, 'key')], stored).equals(plain)).toBe(true)
    const decrypter = new Decrypter()
    decrypter.addIdentity(recovery.identity)
    expect(plain.equals(await decrypter.decrypt(stored))).toBe(true)
  })

  test('are read when the age program or the package wrote them', async () => {
    const byProgram = age(['-r', recovery.recipient, '-r', service.recipient], plain)
    expect((await decrypt(byProgram, { pieces: 997 })).equals(plain)).toBe(true)
    const encrypter = new Encrypter()
    encrypter.addRecipient(service.recipient)
    expect((await decrypt(Buffer.from(await encrypter.encrypt(plain)))).equals(plain)).toBe(true)
  })
})

describe('damage', () => {
  const plain = sampleBytes(3 * CHUNK + 100)
  let stored: Buffer
  let start: number

  beforeAll(async () => {
    stored = await encrypt(plain)
    start = payloadStart(stored)
  })

  const flip = (at: number) => {
    const copy = Buffer.from(stored)
    copy[at] = (copy[at] ?? 0) ^ 1
    return copy
  }
  const chunk = (index: number) => stored.subarray(start + index * SEALED, start + (index + 1) * SEALED)
  const head = () => stored.subarray(0, start)

  const cases: Record<string, () => Buffer> = {
    'cut at a chunk boundary': () => stored.subarray(0, start + 2 * SEALED),
    'cut right after the last full chunk': () => stored.subarray(0, start + 3 * SEALED),
    'cut in the middle of a chunk': () => stored.subarray(0, start + SEALED + 1000),
    'cut inside the last tag': () => stored.subarray(0, -1),
    'cut to less than a tag': () => stored.subarray(0, start + SEALED + 5),
    'cut after the nonce': () => stored.subarray(0, start),
    'cut inside the nonce': () => stored.subarray(0, start - 5),
    'cut inside the header': () => stored.subarray(0, 60),
    'no byte at all': () => Buffer.alloc(0),
    'extended by a byte': () => Buffer.concat([stored, Buffer.alloc(1)]),
    'extended by its own last chunk': () => Buffer.concat([stored, chunk(3)]),
    'two chunks swapped': () => Buffer.concat([head(), chunk(1), chunk(0), chunk(2), chunk(3)]),
    'a chunk left out': () => Buffer.concat([head(), chunk(0), chunk(2), chunk(3)]),
    'a chunk doubled': () => Buffer.concat([head(), chunk(0), chunk(0), chunk(1), chunk(2), chunk(3)]),
    'a bit of the text flipped': () => flip(start + 5),
    'a bit of a tag flipped': () => flip(start + SEALED - 1),
    'a bit of the nonce flipped': () => flip(start - 1),
    'a bit of the MAC flipped': () => flip(start - 16 - 10),
    'a bit of the version line flipped': () => flip(3),
    'the stanza of the other recipient removed': () => {
      const second = stored.indexOf('-> X25519', stored.indexOf('-> X25519') + 1)
      return Buffer.concat([stored.subarray(0, second), stored.subarray(stored.indexOf('---'))])
    },
    'a megabyte without a line end': () => Buffer.alloc(1_000_000, 'x'),
  }

  test.each(Object.entries(cases))('%s is ARTIFACT_CORRUPT', async (_, spoil) => {
    const spoiled = spoil()
    await expect(decrypt(spoiled)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
    await expect(decrypt(spoiled, { pieces: 4096 })).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' })
    expect(() => age(['-d', '-i', join(folder, 'key')], spoiled)).toThrow('age:')
  })

  test('a header without end is refused after 64 KiB, one line or many, and the source closed', async () => {
    let pulled = 0
    let isClosed = false
    async function* endless(line: string) {
      isClosed = false
      try {
        yield Buffer.from('age-encryption.org/v1\n')
        for (pulled = 0; ; pulled += line.length) yield await Promise.resolve(Buffer.from(line))
      } finally {
        isClosed = true
      }
    }
    for (const line of ['x'.repeat(1000), `-> X25519 ${'x'.repeat(50)}\n`]) {
      const reading = drain(decryptAge(endless(line), (header) => openAgeHeader(header, [service.identity])))
      await expect(reading).rejects.toThrow('no line end within')
      expect(pulled).toBeLessThan(70_000)
      expect(isClosed).toBe(true)
    }
    const long = Buffer.from(`age-encryption.org/v1\n-> X25519 ${'x'.repeat(70_000)}\n--- mac\n`)
    await expect(decrypt(long)).rejects.toThrow('no line end within')
  })

  test('an empty last chunk after a full one is ARTIFACT_CORRUPT, although its tag is right', async () => {
    const header = await createAgeHeader([service.recipient])
    const full = await drain(encryptAge(inPieces(sampleBytes(CHUNK)), header))
    const forged = await forgeEmptyLastChunk(header)
    const reading = drain(decryptAge(inPieces(forged), () => header.fileKey))
    await expect(reading).rejects.toThrow('it is empty')
    expect(full.length).toBe(forged.length - 16)
    expect(() => age(['-d', '-i', join(folder, 'key')], forged)).toThrow('age:')
  })
})

/** What a wrong encrypter would make of 64 KiB: a full chunk without the last flag, then an empty one with it. */
async function forgeEmptyLastChunk({ header, fileKey }: { header: Buffer; fileKey: Buffer }): Promise<Buffer> {
  const { createCipheriv, hkdfSync } = await import('node:crypto')
  const nonce = Buffer.alloc(16, 7)
  const key = Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32))
  const seal = (bytes: Buffer, chunkNonce: string) => {
    const cipher = createCipheriv('chacha20-poly1305', key, Buffer.from(chunkNonce, 'hex'), { authTagLength: 16 })
    return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
  }
  const first = seal(sampleBytes(CHUNK), '000000000000000000000000')
  return Buffer.concat([header, nonce, first, seal(Buffer.alloc(0), '000000000000000000000101')])
}

describe('keys', () => {
  test('either recipient alone reads it, somebody else gets KEY_WRONG, nobody KEY_MISSING', async () => {
    const stored = await encrypt(sampleBytes(10))
    const stranger = await generateIdentity()
    expect((await decrypt(stored, { identity: recovery.identity })).length).toBe(10)
    await expect(decrypt(stored, { identity: stranger.identity })).rejects.toMatchObject({ code: 'KEY_WRONG' })
    await expect(openAgeHeader(stored, [])).rejects.toMatchObject({ code: 'KEY_MISSING' })
  })

  test('several identities are tried', async () => {
    const { header, fileKey } = await createAgeHeader([service.recipient])
    const identities = [recovery.identity, service.identity]
    expect((await openAgeHeader(header, identities)).equals(fileKey)).toBe(true)
  })

  test('two artifacts share neither file key nor payload', async () => {
    const one = await createAgeHeader([service.recipient])
    const two = await createAgeHeader([service.recipient])
    expect(one.fileKey).toHaveLength(16)
    expect(one.fileKey.equals(two.fileKey)).toBe(false)
    const first = await drain(encryptAge(inPieces(Buffer.alloc(100)), one))
    const again = await drain(encryptAge(inPieces(Buffer.alloc(100)), one))
    expect(first.subarray(-116).equals(again.subarray(-116))).toBe(false)
  })

  test.each(['', 'age1nonsense', 'AGE-SECRET-KEY-1CANARY'])('a bad key is refused and not quoted: %s', async (key) => {
    const { header } = await createAgeHeader([service.recipient])
    const refusals = await Promise.allSettled([createAgeHeader([key]), openAgeHeader(header, [key])])
    for (const refusal of refusals) {
      const error = (refusal as PromiseRejectedResult).reason as CofferError
      expect(error.code).toBe('CONFIG_INVALID')
      expect(error.cause).toBeUndefined()
      expect(error.stack).not.toContain('CANARY')
    }
  })
})
