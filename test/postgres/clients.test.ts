import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { chooseClient, chooseRestoreClient, findPostgresClients, majorOf } from '../../shared/postgres/clients.ts'
import { clients } from '../support/postgres.ts'

const installed = (...majors: number[]) =>
  majors.map((major) => ({
    major,
    version: `${major}.1`,
    pgDump: `/${major}/pg_dump`,
    pgRestore: `/${major}/pg_restore`,
  }))

describe('the installed clients', () => {
  let folder: string
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'clients-'))))
  afterEach(() => rm(folder, { recursive: true }))

  async function addClient(name: string, { dump = '', restore = dump }: { dump?: string; restore?: string }) {
    await mkdir(join(folder, name))
    for (const [program, version] of Object.entries({ pg_dump: dump, pg_restore: restore })) {
      const script = version === '' ? '#!/bin/sh\nexit 1\n' : `#!/bin/sh\necho '${program} (PostgreSQL) ${version}'\n`
      await writeFile(join(folder, name, program), script, { mode: 0o755 })
    }
  }

  test('of this machine are found, and tell their version themselves', () => {
    expect(clients.length).toBeGreaterThan(0)
    for (const { major, version, pgDump } of clients) {
      expect(majorOf(version)).toBe(major)
      expect(pgDump).toMatch(/pg_dump$/)
    }
  })

  test('are found in every folder of a pattern, oldest first, each major once', async () => {
    await addClient('b', { dump: '18.6 (Debian 18.6-1)' })
    await addClient('a', { dump: '9.6.24' })
    await addClient('c', { dump: '18.1' })
    const found = await findPostgresClients([join(folder, 'b'), join(folder, '*')])
    expect(found.map(({ version }) => version)).toEqual(['9.6.24', '18.6 (Debian 18.6-1)'])
    expect(found[1]?.pgRestore).toBe(join(folder, 'b', 'pg_restore'))
  })

  test('do not include broken, mismatched or half installations, nor scripts of another name', async () => {
    await addClient('broken', {})
    await addClient('mismatched', { dump: '16.1', restore: '15.1' })
    await addClient('half', { dump: '16.1' })
    await rm(join(folder, 'half', 'pg_restore'))
    await addClient('whole', { dump: '17.1' })
    await mkdir(join(folder, 'wrapper'))
    await writeFile(join(folder, 'pg_wrapper'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 16.1"\n', { mode: 0o755 })
    await symlink(join(folder, 'pg_wrapper'), join(folder, 'wrapper', 'pg_dump'))
    const found = await findPostgresClients([join(folder, '*')])
    expect(found.map(({ major }) => major)).toEqual([17])
  })

  test('are none where nothing is installed', async () => {
    expect(await findPostgresClients([folder])).toEqual([])
  })
})

describe('the client for a dump', () => {
  test.each([
    [15, [13, 15, 17], 15],
    [14, [13, 15, 17], 15],
    [16, [18, 17, 15], 17],
  ])('of a server of version %i with %j installed is %i', (server, majors, chosen) => {
    expect(chooseClient(installed(...majors), server).major).toBe(chosen)
  })

  test('is refused for a server newer than all, with both versions in the message', () => {
    expect(() => chooseClient(installed(15, 16), 18)).toThrow(
      expect.objectContaining({
        code: 'SERVER_VERSION_UNSUPPORTED',
        message:
          'the server runs PostgreSQL 18, and the newest pg_dump on this machine is too old for it (installed: 15, 16)',
      }) as Error,
    )
  })

  test('is missing where none is installed', () => {
    expect(() => chooseClient([], 15)).toThrow(expect.objectContaining({ code: 'CLIENT_MISSING' }) as Error)
  })
})

describe('the client for a restore', () => {
  test.each([
    { archive: 15, server: 15, majors: [14, 15, 16], chosen: 15 },
    { archive: 15, server: 18, majors: [14, 16, 18], chosen: 16 },
    { archive: 15, server: 18, majors: [17, 18], chosen: 17 },
    { archive: 17, server: 17, majors: [16, 17, 18], chosen: 17 },
  ])(
    'of pg_dump $archive into server $server with $majors installed is $chosen',
    ({ archive, server, majors, chosen }) => {
      expect(chooseRestoreClient(installed(...majors), archive, server).major).toBe(chosen)
    },
  )

  test.each([
    { why: 'an older client cannot read the archive', archive: 16, server: 18, majors: [14, 15] },
    { why: 'a client from 17 on speaks what server 16 does not know', archive: 15, server: 16, majors: [14, 17, 18] },
    { why: 'both at once', archive: 17, server: 16, majors: [16, 17] },
  ])('is missing where $why', ({ archive, server, majors }) => {
    expect(() => chooseRestoreClient(installed(...majors), archive, server)).toThrow(
      expect.objectContaining({ code: 'CLIENT_MISSING' }) as Error,
    )
  })
})
