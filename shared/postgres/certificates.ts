import { access, constants, open } from 'node:fs/promises'
import { CofferError } from '../errors.ts'
import type { PostgresConnection } from './connection.ts'

const SYSTEM_CERTIFICATES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]
const MAX_BYTES = 1024 ** 2

/** File with the certificates that the connection trusts; undefined where none are checked. @throws CONNECTION_INVALID */
export async function trustedCertificates({ sslmode, sslrootcert }: PostgresConnection): Promise<string | undefined> {
  if (sslmode === 'disable') return undefined
  if (sslrootcert !== undefined) {
    // Client programs read it themselves, without end where it has none.
    await readCertificates(sslrootcert)
    return sslrootcert
  }
  if (!sslmode.startsWith('verify-')) return undefined
  for (const file of SYSTEM_CERTIFICATES) {
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  return undefined
}

/** Waits for no writer of a pipe, and takes a regular file of at most 1 MiB only. @throws CONNECTION_INVALID */
export async function readCertificates(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const status = await file.stat()
    if (!status.isFile()) throw new Error('it is no regular file')
    const chunks: Buffer[] = []
    // A file of /proc is longer than it says.
    for await (const chunk of file.createReadStream({ end: MAX_BYTES, autoClose: false })) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    if (bytes.length > MAX_BYTES) throw new Error('it has more than 1 MiB')
    return bytes
  } catch (error) {
    throw new CofferError('CONNECTION_INVALID', `the certificates in ${path} (sslrootcert) cannot be read`, {
      cause: error,
    })
  }
}
