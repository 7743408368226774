import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { CofferError } from './errors.ts'
import { recipientsOf } from './identities.ts'
import { createAgeHeader, openAgeHeader } from './pipeline/age-header.ts'
import { decryptAge, encryptAge } from './pipeline/age-stream.ts'

/** What the identities of a process are worth for what is written now. Public keys only. */
export interface KeyState {
  loaded: string[]
  opens: string[]
  /** What a person must put right; null: nothing. A process without an identity file is right as it is: it dumps, and opens nothing. */
  problem: string | null
}

/**
 * Encrypts a canary as a backup is encrypted, and opens it with each identity.
 * @param recipients whom new backups are encrypted for; none: nothing is encrypted
 * @param identityFile what was given; undefined: the process is to open nothing
 * @throws CONFIG_INVALID for a recipient or an identity that is none
 */
export async function checkKeys(
  recipients: readonly string[],
  identities: readonly string[],
  identityFile: string | undefined,
): Promise<KeyState> {
  const loaded = await recipientsOf(identities)
  const opens: string[] = []
  if (recipients.length > 0) {
    const canary = randomBytes(64)
    const sealed = await buffer(encryptAge(chunk(canary), await createAgeHeader(recipients)))
    for (const [index, identity] of identities.entries())
      if (await opensCanary(sealed, canary, identity)) opens.push(loaded[index] ?? '')
  }
  return { loaded, opens, problem: problemOf({ recipients, loaded, opens, identityFile }) }
}

async function opensCanary(sealed: Buffer, canary: Buffer, identity: string): Promise<boolean> {
  try {
    return canary.equals(await buffer(decryptAge(chunk(sealed), (header) => openAgeHeader(header, [identity]))))
  } catch (error) {
    if (error instanceof CofferError && error.code === 'KEY_WRONG') return false
    throw error
  }
}

async function* chunk(bytes: Buffer): AsyncGenerator<Buffer> {
  yield await Promise.resolve(bytes)
}

function problemOf(state: {
  recipients: readonly string[]
  loaded: readonly string[]
  opens: readonly string[]
  identityFile: string | undefined
}): string | null {
  const { recipients, loaded, opens, identityFile } = state
  if (identityFile === undefined || recipients.length === 0 || opens.length > 0) return null
  if (loaded.length === 0) return `COFFER_AGE_IDENTITY_FILE ${identityFile} can't be read, so nothing can be opened`
  return `new backups are written for ${recipients.join(', ')}, and the loaded identities are those of ${loaded.join(', ')}: none of them can open what is written now`
}
