import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { CofferError } from '../../shared/errors.ts'
import { writePrivateFile } from '../services/run-record.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface Keys {
  /** The variables that the processes get. */
  env: Record<string, string>
  /** What must be copied away, because nothing else opens the backups. */
  files: string[]
  /** null: the token was given. */
  tokenFile: string | null
}

/** The secrets that were given, and for the others those of the data folder, which are generated when they are missing. */
export async function openKeys(dataDir: string, given: Environment): Promise<Keys> {
  const secretFile = join(dataDir, 'secret-key')
  const tokenFile = join(dataDir, 'admin-token')
  const age = await openAgeKeys(join(dataDir, 'age-identity.txt'), given)
  return {
    env: {
      COFFER_SECRET_KEY: given.COFFER_SECRET_KEY ?? secretIn(secretFile, 'base64'),
      COFFER_ADMIN_TOKEN: given.COFFER_ADMIN_TOKEN ?? secretIn(tokenFile, 'base64url'),
      ...age,
    },
    files: [
      ...(age.COFFER_AGE_IDENTITY_FILE === undefined ? [] : [age.COFFER_AGE_IDENTITY_FILE]),
      ...(given.COFFER_SECRET_KEY === undefined ? [secretFile] : []),
    ],
    tokenFile: given.COFFER_ADMIN_TOKEN === undefined ? tokenFile : null,
  }
}

async function openAgeKeys(
  ownFile: string,
  given: Environment,
): Promise<{ COFFER_AGE_RECIPIENTS: string; COFFER_AGE_IDENTITY_FILE?: string }> {
  const file = given.COFFER_AGE_IDENTITY_FILE ?? ownFile
  if (given.COFFER_AGE_RECIPIENTS !== undefined) {
    return {
      COFFER_AGE_RECIPIENTS: given.COFFER_AGE_RECIPIENTS,
      ...(existsSync(file) ? { COFFER_AGE_IDENTITY_FILE: file } : {}),
    }
  }
  if (file === ownFile && !existsSync(file)) {
    const identity = await generateX25519Identity()
    const comment = `# created by npm run up\n# public key: ${await identityToRecipient(identity)}`
    writePrivateFile(file, `${comment}\n${identity}`)
  }
  return { COFFER_AGE_RECIPIENTS: await recipientsOf(file), COFFER_AGE_IDENTITY_FILE: file }
}

async function recipientsOf(identityFile: string): Promise<string> {
  const identities = readGiven(identityFile).match(/^AGE-SECRET-KEY-1\S+$/gm) ?? []
  if (identities.length === 0) {
    throw new CofferError('CONFIG_INVALID', `${identityFile} holds no line that begins with AGE-SECRET-KEY-1`)
  }
  return (await Promise.all(identities.map(identityToRecipient))).join(',')
}

function readGiven(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CofferError('CONFIG_INVALID', `the identity file ${file} cannot be read`, { cause: error })
  }
}

function secretIn(file: string, encoding: 'base64' | 'base64url'): string {
  if (!existsSync(file)) writePrivateFile(file, randomBytes(32).toString(encoding))
  return readFileSync(file, 'utf8').trim()
}
