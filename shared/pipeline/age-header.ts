import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { CofferError } from '../errors.ts'
import type { ByteReader } from './byte-reader.ts'

export const MAX_HEADER_BYTES = 64 * 1024
const NONCE_AND_EMPTY_PAYLOAD_BYTES = 16 + 16

export interface AgeHeader {
  /** The bytes up to and including the newline after the MAC. */
  header: Buffer
  /** 16 bytes; opens the payload. */
  fileKey: Buffer
}

/** A new key pair: `AGE-SECRET-KEY-1…` and its `age1…`. */
export async function generateIdentity(): Promise<{ identity: string; recipient: string }> {
  const identity = await generateX25519Identity()
  return { identity, recipient: await identityToRecipient(identity) }
}

/** Whether the text is a public key, its checksum included. */
export function isRecipient(text: string): boolean {
  try {
    new Encrypter().addRecipient(text)
    return true
  } catch {
    return false
  }
}

/** A header with a new random file key, wrapped for each recipient. @throws CONFIG_INVALID for a bad recipient */
export async function createAgeHeader(recipients: readonly string[]): Promise<AgeHeader> {
  const encrypter = new Encrypter()
  recipients.forEach((recipient, index) => {
    try {
      encrypter.addRecipient(recipient)
    } catch {
      // Not quoted, and no cause: it may be an identity by mistake.
      throw new CofferError('CONFIG_INVALID', `age recipient ${index + 1} is not a public key that starts with age1`)
    }
  })
  const fileKeys: Uint8Array[] = []
  encrypter.addRecipient({
    wrapFileKey(fileKey) {
      fileKeys.push(fileKey)
      return []
    },
  })
  const empty = await encrypter.encrypt(new Uint8Array())
  return {
    header: Buffer.from(empty.subarray(0, empty.length - NONCE_AND_EMPTY_PAYLOAD_BYTES)),
    fileKey: Buffer.concat(fileKeys),
  }
}

/** Takes the header off a stream, unchecked. @throws ARTIFACT_CORRUPT when there is none */
export async function readAgeHeader(reader: ByteReader): Promise<Buffer> {
  const lines = [await reader.takeLine(MAX_HEADER_BYTES)]
  if (lines[0]?.toString('latin1') !== 'age-encryption.org/v1\n') throw corruptHeader('it does not start like one')
  let length = 0
  for (;;) {
    const line = await reader.takeLine(MAX_HEADER_BYTES - length)
    lines.push(line)
    length += line.length
    if (line.subarray(0, 3).toString('latin1') === '---') return Buffer.concat(lines)
  }
}

/**
 * The file key of a header. A damaged stanza can't be told from a stanza for somebody else: both are KEY_WRONG.
 *
 * @throws KEY_MISSING without identities, KEY_WRONG when none matches, ARTIFACT_CORRUPT when the header is damaged
 */
export async function openAgeHeader(header: Buffer, identities: readonly string[]): Promise<Buffer> {
  if (identities.length === 0)
    throw new CofferError('KEY_MISSING', 'the artifact is encrypted and no identity was given')
  const decrypter = new Decrypter()
  identities.forEach((identity, index) => {
    try {
      decrypter.addIdentity(identity)
    } catch {
      // Neither quoted nor a cause: it is a secret.
      throw new CofferError(
        'CONFIG_INVALID',
        `age identity ${index + 1} is not a key that starts with AGE-SECRET-KEY-1`,
      )
    }
  })
  // Asked last, so only when no identity matched.
  decrypter.addIdentity({
    unwrapFileKey() {
      throw new CofferError('KEY_WRONG', `none of ${identities.length} identities opens the artifact`)
    },
  })
  try {
    return Buffer.from(await decrypter.decryptHeader(header))
  } catch (error) {
    if (error instanceof CofferError) throw error
    throw corruptHeader(error instanceof Error ? error.message : String(error), error)
  }
}

function corruptHeader(why: string, cause?: unknown): CofferError {
  return new CofferError('ARTIFACT_CORRUPT', `the age header is damaged: ${why}`, { cause })
}
