import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CofferError } from '../../shared/errors.ts'
import { recipientsOf } from '../../shared/identities.ts'
import { generateIdentity } from '../../shared/pipeline/age-header.ts'
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

/**
 * The secrets that were given, and for the others those of the data folder, which are generated when they are missing. New backups are
 * written for the last identity of the file; the ones before it read what was written for them.
 * @param addsIdentity a new one is added to the file first
 */
export async function openKeys(dataDir: string, given: Environment, addsIdentity = false): Promise<Keys> {
  const secretFile = join(dataDir, 'secret-key')
  const tokenFile = join(dataDir, 'admin-token')
  const age = await openAgeKeys(join(dataDir, 'age-identity.txt'), given, addsIdentity)
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
  addsIdentity: boolean,
): Promise<{ COFFER_AGE_RECIPIENTS: string; COFFER_AGE_IDENTITY_FILE?: string }> {
  const file = given.COFFER_AGE_IDENTITY_FILE ?? ownFile
  if (addsIdentity && (file !== ownFile || given.COFFER_AGE_RECIPIENTS !== undefined))
    throw new CofferError(
      'CONFIG_INVALID',
      '--new-key is for keys that up keeps: COFFER_AGE_IDENTITY_FILE or COFFER_AGE_RECIPIENTS is given, so change those',
    )
  if (given.COFFER_AGE_RECIPIENTS !== undefined) {
    return {
      COFFER_AGE_RECIPIENTS: given.COFFER_AGE_RECIPIENTS,
      ...(existsSync(file) ? { COFFER_AGE_IDENTITY_FILE: file } : {}),
    }
  }
  if (file === ownFile && (addsIdentity || !existsSync(file))) await addIdentity(file)
  return { COFFER_AGE_RECIPIENTS: await newestRecipientOf(file), COFFER_AGE_IDENTITY_FILE: file }
}

async function addIdentity(file: string): Promise<void> {
  const before = existsSync(file) ? `${readFileSync(file, 'utf8').trimEnd()}\n` : ''
  const { identity, recipient } = await generateIdentity()
  writePrivateFile(file, `${before}# created by npm run up\n# public key: ${recipient}\n${identity}`)
}

async function newestRecipientOf(identityFile: string): Promise<string> {
  const newest = readGiven(identityFile)
    .match(/^AGE-SECRET-KEY-1\S+$/gm)
    ?.at(-1)
  if (newest === undefined) {
    throw new CofferError('CONFIG_INVALID', `${identityFile} holds no line that begins with AGE-SECRET-KEY-1`)
  }
  return (await recipientsOf([newest])).join(',')
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
