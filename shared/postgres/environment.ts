import { randomUUID } from 'node:crypto'
import { access, constants, open, unlink, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { trustedCertificates } from './certificates.ts'
import type { PostgresConnection } from './connection.ts'

const CONNECT_TIMEOUT_SECONDS = '10'
const SHARED_MEMORY = '/dev/shm'

/** The whole environment of a client program, and the password file it points to. Close it after the program has ended. */
export interface ClientEnvironment extends AsyncDisposable {
  variables: Record<string, string>
}

/**
 * Tells a client program where to connect, by environment alone: libpq takes these values literally, where `-d` and positional
 * names are parsed as connection strings. The password is in a file only, since other processes of the user may read an
 * environment. UTC, so that the archive's creation time has a zone.
 */
export async function openClientEnvironment(
  connection: PostgresConnection,
  { applicationName }: { applicationName?: string | undefined } = {},
): Promise<ClientEnvironment> {
  const certificates = await trustedCertificates(connection)
  const passwordFile = await openPasswordFile(connection.password)
  return {
    variables: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      // No certificates, keys or password file of the worker's own user.
      HOME: '/nonexistent',
      LANG: 'C.UTF-8',
      TZ: 'UTC',
      ...hostVariables(connection),
      PGPORT: String(connection.port),
      PGUSER: connection.user,
      PGDATABASE: connection.database,
      PGPASSFILE: passwordFile.path,
      PGCONNECT_TIMEOUT: CONNECT_TIMEOUT_SECONDS,
      PGSSLMODE: connection.sslmode,
      PGGSSENCMODE: 'disable',
      ...(applicationName === undefined ? {} : { PGAPPNAME: applicationName }),
      ...(certificates === undefined ? {} : { PGSSLROOTCERT: certificates }),
    },
    [Symbol.asyncDispose]: () => passwordFile.close(),
  }
}

/** libpq tries the addresses in turn, and checks certificates against the name beside each. */
function hostVariables({ host, addresses = [] }: PostgresConnection): Record<string, string> {
  if (addresses.length === 0) return { PGHOST: host }
  return {
    PGHOST: addresses.map(() => host).join(','),
    PGHOSTADDR: addresses.map(({ address }) => address).join(','),
  }
}

interface PasswordFile {
  path: string
  close(): Promise<void>
}

/** A plain file of mode 0600, as libpq demands. On Linux it has lost its name before the program starts, so that a killed worker leaves none. */
async function openPasswordFile(password: string): Promise<PasswordFile> {
  const name = join(await folderInMemory(), `coffer-${randomUUID()}`)
  const file = await open(name, 'wx', 0o600)
  try {
    await file.writeFile(`*:*:*:*:${password.replace(/[\\:]/g, '\\$&')}\n`)
    if (process.platform !== 'linux') return { path: name, close: () => closeAndRemove(file, name) }
    await unlink(name)
    return { path: `/proc/${process.pid}/fd/${file.fd}`, close: () => file.close() }
  } catch (error) {
    await closeAndRemove(file, name)
    throw error
  }
}

async function closeAndRemove(file: FileHandle, name: string): Promise<void> {
  await file.close()
  await unlink(name)
}

async function folderInMemory(): Promise<string> {
  return access(SHARED_MEMORY, constants.W_OK).then(
    () => SHARED_MEMORY,
    () => tmpdir(),
  )
}
