import { readFile } from 'node:fs/promises'
import { CofferError } from './errors.ts'

/**
 * The private keys of COFFER_AGE_IDENTITY_FILE: one a line; lines that begin with # are comments. Without a file there are none.
 * @throws CONFIG_INVALID, never with the content
 */
export async function readIdentities(file: string | undefined): Promise<string[]> {
  if (file === undefined) return []
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CofferError('CONFIG_INVALID', `COFFER_AGE_IDENTITY_FILE ${file} can't be read`, { cause })
  })
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'))
  if (keys.length > 0 && keys.every((key) => /^AGE-SECRET-KEY-1[0-9A-Z]+$/.test(key))) return keys
  throw new CofferError(
    'CONFIG_INVALID',
    `COFFER_AGE_IDENTITY_FILE ${file} has no line that begins with AGE-SECRET-KEY-1, or another one`,
  )
}
