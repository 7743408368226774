import type { Manifest } from '../../shared/domain/manifest.ts'
import type { VerificationLevel } from '../../shared/domain/verification.ts'
import { CofferError } from '../../shared/errors.ts'
import { verifyStored } from '../../shared/pipeline/read-artifact.ts'
import { checkContents } from './check-contents.ts'
import { checkMetadata } from './check-metadata.ts'
import { drill } from './drill.ts'
import { judge, type Verdict } from './judge.ts'
import { drain, readPlain, type PartToVerify } from './part.ts'

/** Verifies one service-instance backup; each level does what the weaker ones do. @throws only the signal's reason */
export async function verifyPart(part: PartToVerify, level: VerificationLevel): Promise<Verdict> {
  const begun = performance.now()
  const verdict = await judge(
    () => attempt(part, level),
    () => proveBytes(part, level),
    part.signal,
  )
  const seconds = Math.round((performance.now() - begun) / 10) / 100
  return { ...verdict, report: { ...verdict.report, ...differencesOf(verdict.error), seconds } }
}

async function attempt(part: PartToVerify, level: VerificationLevel): Promise<Record<string, unknown>> {
  const manifest = await checkMetadata(part.secrets, part.store, part.subject)
  const sum = (size: 'plain_size' | 'stored_size') =>
    manifest.artifacts.reduce((total, record) => total + record[size], 0)
  const found = { artifacts: manifest.artifacts.length, stored_bytes: sum('stored_size') }
  if (level === 'metadata') return found
  return withKeys(part, manifest, async () => {
    const contents = level === 'drill' ? await drill(part, manifest) : await checkContents(part, manifest)
    return { ...found, plain_bytes: sum('plain_size'), ...contents }
  })
}

async function proveBytes(part: PartToVerify, level: VerificationLevel): Promise<void> {
  const manifest = await checkMetadata(part.secrets, part.store, part.subject)
  if (level === 'metadata') return
  await withKeys(part, manifest, async () => {
    for (const record of manifest.artifacts) await drain(readPlain(part, record))
  })
}

/** Without a key that fits nobody knows what is inside; but whether it is what was stored, its digest tells. */
async function withKeys<T>(part: PartToVerify, manifest: Manifest, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof CofferError) || (error.code !== 'KEY_MISSING' && error.code !== 'KEY_WRONG')) throw error
    const { store, signal, onBytes } = part
    for (const record of manifest.artifacts) {
      let read = 0
      const onProgress = ({ storedBytes }: { storedBytes: number }) => {
        onBytes(storedBytes - read)
        read = storedBytes
      }
      await verifyStored({ store, record, signal, onProgress })
    }
    throw error
  }
}

/** What a comparison has found, for the report. */
function differencesOf(error: CofferError | null): Record<string, unknown> {
  const { differences, findings, missing } = error?.details ?? {}
  const found = differences ?? findings ?? missing
  return Array.isArray(found) ? { differences: found.slice(0, 100) as unknown[] } : {}
}
