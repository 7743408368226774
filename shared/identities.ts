import { readFile } from 'node:fs/promises'
import { identityToRecipient } from 'age-encryption'
import { CofferError } from './errors.ts'

/**
 * The private keys of COFFER_AGE_IDENTITY_FILE: one a line; lines that begin with # are comments. Without a file there are none.
 * @throws KEY_MISSING (the file can't be read), CONFIG_INVALID (its content is none), never with the content
 */
export async function readIdentities(file: string | undefined): Promise<string[]> {
  if (file === undefined) return []
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CofferError('KEY_MISSING', `COFFER_AGE_IDENTITY_FILE ${file} can't be read`, { cause })
  })
  return parseIdentities(text, `COFFER_AGE_IDENTITY_FILE ${file}`)
}

/** The same, but none where the file can't be read: for a process that has other work than opening backups. @throws CONFIG_INVALID */
export async function identitiesIfThere(file: string | undefined): Promise<string[]> {
  try {
    return await readIdentities(file)
  } catch (error) {
    if (error instanceof CofferError && error.code === 'KEY_MISSING') return []
    throw error
  }
}

/** @param name of the text, for messages. @throws CONFIG_INVALID, never with the content */
export async function parseIdentities(text: string, name: string): Promise<string[]> {
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'))
  if (keys.length === 0 || !keys.every((key) => /^AGE-SECRET-KEY-1[0-9A-Z]+$/.test(key)))
    throw new CofferError('CONFIG_INVALID', `${name} has no line that begins with AGE-SECRET-KEY-1, or another one`)
  await recipientsOf(keys)
  return keys
}

/** The public keys of identities, in their order. @throws CONFIG_INVALID, never with the identity */
export const recipientsOf = (identities: readonly string[]): Promise<string[]> =>
  Promise.all(
    identities.map((identity, index) =>
      identityToRecipient(identity).catch(() => {
        // Neither quoted nor a cause: it is a secret.
        throw new CofferError('CONFIG_INVALID', `age identity ${index + 1} is damaged: its checksum does not match`)
      }),
    ),
  )

/**
 * Names a wrong key before any work is done: call it before anything is read, downloaded or changed.
 * @param recipients the public keys in the manifest; none: the artifacts are not encrypted, and nobody needs a key
 * @throws KEY_MISSING when no identity is loaded, KEY_WRONG when none of them is a recipient; both name public keys only
 */
export async function requireIdentityFor(recipients: readonly string[], identities: readonly string[]): Promise<void> {
  if (recipients.length === 0) return
  const needed = `the backup opens with the identity of ${recipients.join(' or ')}`
  if (identities.length === 0) throw new CofferError('KEY_MISSING', `${needed}, and no identity is loaded`)
  const loaded = await recipientsOf(identities)
  if (loaded.some((recipient) => recipients.includes(recipient))) return
  throw new CofferError('KEY_WRONG', `${needed}; loaded are those of ${loaded.join(' and ')}`, {
    details: { recipients: [...recipients], loaded },
  })
}
