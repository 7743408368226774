import { randomUUID } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findSubject, type VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import { ARTIFACT_NAMES, type ArtifactKind } from '../../shared/domain/artifact.ts'
import type { VerificationLevel } from '../../shared/domain/verification.ts'
import { takeDump } from '../../workers/dump/take-dump.ts'
import { takeArchive } from '../../workers/media-archive/take-archive.ts'
import { processRun } from '../../workers/run-processor.ts'
import type { Verdict } from '../../workers/verify/judge.ts'
import type { PartToVerify } from '../../workers/verify/part.ts'
import { verifyPart } from '../../workers/verify/verify-part.ts'
import type { ClockedWorker } from '../support/clocked-worker.ts'
import type { TestCoffer } from '../support/coffer.ts'
import { createTestDatabase, type TestDatabase } from '../support/databases.ts'
import { urlOfDatabase } from '../support/postgres.ts'
import { inDatabase } from '../support/sample-data.ts'

/** The test server as the server for drills. */
export const drillUrl = (): string => urlOfDatabase('postgres')

/** A database with two tables, a sequence and a large object, and a folder with a few files, registered as service instances. */
export async function addSources(coffer: TestCoffer): Promise<TestDatabase> {
  const source = await createTestDatabase()
  await inDatabase(
    source.url,
    `CREATE TABLE customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL)`,
    `CREATE TABLE invoice (id bigint PRIMARY KEY, customer bigint NOT NULL REFERENCES customer, body text NOT NULL)`,
    `INSERT INTO customer (name) SELECT 'customer ' || n FROM generate_series(1, 40) n`,
    `INSERT INTO invoice SELECT n, 1 + n % 40, encode(sha512(n::text::bytea), 'hex') FROM generate_series(1, 200) n`,
    `SELECT lo_from_bytea(0, 'a large object')`,
  )
  const media = await coffer.mediaRoot('shop')
  for (const name of ['a.txt', 'b.txt', 'c.txt'])
    await writeFile(join(media.path, name), Array.from({ length: 40 }, () => randomUUID()).join('\n'))
  await coffer.addService('DATABASE', source.url)
  await coffer.addService('STORAGE', media.url)
  return source
}

/** A backup of all service instances, by the real runs. @returns by type */
export async function takeBackup(coffer: TestCoffer, { context }: ClockedWorker) {
  const { uuid } = await coffer.backup()
  const parts = await coffer.parts(uuid)
  for (const { uuid: id, service_type: type } of parts)
    await processRun(context, type === 'DATABASE' ? takeDump : takeArchive, {
      data: { id, attempt: 1 },
      attemptsMade: 0,
    })
  const subjectOf = async (type: string): Promise<VerificationSubject> => {
    const subject = await findSubject(coffer.catalog, parts.find((part) => part.service_type === type)?.uuid ?? '')
    if (!subject) throw new Error(`no sealed ${type}`)
    return subject
  }
  return { id: uuid, database: await subjectOf('DATABASE'), media: await subjectOf('STORAGE') }
}

/** Verifies it as a worker would. */
export function verify(
  coffer: TestCoffer,
  { context }: ClockedWorker,
  subject: VerificationSubject,
  level: VerificationLevel,
  changes: Partial<PartToVerify> = {},
): Promise<Verdict> {
  const { secrets, config } = context
  return verifyPart(
    {
      id: randomUUID(),
      subject,
      store: coffer.store,
      secrets,
      config,
      identities: [coffer.identity],
      signal: new AbortController().signal,
      onBytes: () => undefined,
      ...changes,
    },
    level,
  )
}

export const keyOf = ({ keyPrefix }: VerificationSubject, kind: ArtifactKind): string =>
  `${keyPrefix}${ARTIFACT_NAMES[kind]}`

/** The object as a file of the test's store. */
export function fileOf(coffer: TestCoffer, key: string) {
  const path = join(coffer.folder, 'store', key)
  return {
    read: () => readFile(path),
    write: (bytes: Buffer | string) => writeFile(path, bytes),
    remove: () => rm(path),
    /** Turns one bit of the byte at `at`, counted from the end if negative. */
    async flip(at: number) {
      const bytes = await readFile(path)
      const index = at < 0 ? bytes.length + at : at
      bytes[index] = (bytes[index] ?? 0) ^ 1
      await writeFile(path, bytes)
    },
  }
}
