import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { CofferError } from './errors.ts'

type MacPurpose = 'manifest' | 'link' | 'upload'

/**
 * What COFFER_SECRET_KEY is used for. Each purpose has a key of its own, derived by HKDF-SHA-256. Of several secret keys the first signs
 * and encrypts; all of them verify and decrypt.
 */
export interface Secrets {
  /** AES-256-GCM. `context` binds the box to its row: a box moved to another row does not open. */
  encrypt(plain: string, context: string): Buffer
  /** @throws KEY_WRONG: another key, another context, or altered bytes. */
  decrypt(box: Buffer, context: string): string
  /** Lower-case hex HMAC-SHA-256. */
  mac(purpose: MacPurpose, text: string): string
  /** Compares in constant time. */
  checkMac(purpose: MacPurpose, text: string, mac: string): boolean
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** @param secretKeys 32 random bytes in base64; several are separated by commas, the newest first */
export function openSecrets(secretKeys: string): Secrets {
  const [newest, ...older] = secretKeys.split(',').map(openSecret)
  if (!newest) throw new CofferError('CONFIG_INVALID', 'COFFER_SECRET_KEY holds no key')
  return {
    encrypt: (plain, context) => newest.encrypt(plain, context),
    decrypt(box, context) {
      for (const secret of [newest, ...older]) {
        const plain = secret.decrypt(box, context)
        if (plain !== null) return plain
      }
      throw new CofferError('KEY_WRONG', `the connection of ${context} does not open with COFFER_SECRET_KEY`)
    },
    mac: (purpose, text) => newest.mac(purpose, text),
    checkMac(purpose, text, given) {
      const actual = Buffer.from(given)
      const isOf = (secret: Secret) => {
        const expected = Buffer.from(secret.mac(purpose, text))
        return expected.length === actual.length && timingSafeEqual(expected, actual)
      }
      return [newest, ...older].some(isOf)
    },
  }
}

type Secret = ReturnType<typeof openSecret>

function openSecret(secretKey: string) {
  const master = Buffer.from(secretKey, 'base64')
  const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', master, '', `coffer ${purpose} v1`, 32))
  const keys = {
    connection: derive('connection'),
    manifest: derive('manifest'),
    link: derive('link'),
    upload: derive('upload'),
  }
  return {
    encrypt(plain: string, context: string): Buffer {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keys.connection, nonce).setAAD(Buffer.from(context))
      const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, sealed, cipher.getAuthTag()])
    },
    /** null: another key, another context, or altered bytes. */
    decrypt(box: Buffer, context: string): string | null {
      try {
        const decipher = createDecipheriv('aes-256-gcm', keys.connection, box.subarray(0, NONCE_BYTES))
        decipher.setAAD(Buffer.from(context)).setAuthTag(box.subarray(-TAG_BYTES))
        const sealed = box.subarray(NONCE_BYTES, -TAG_BYTES)
        return Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8')
      } catch {
        return null
      }
    },
    mac: (purpose: MacPurpose, text: string) => createHmac('sha256', keys[purpose]).update(text).digest('hex'),
  }
}
