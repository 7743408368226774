import { isDeepStrictEqual } from 'node:util'
import type { VerificationSubject } from '../../shared/catalog/verification-subjects.ts'
import { MANIFEST_NAME, STATE_NAME, type Manifest } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { decodeManifest } from '../../shared/manifest.ts'
import type { Secrets } from '../../shared/secrets.ts'
import type { Store } from '../../shared/storage/store.ts'
import { readText } from '../../shared/storage/text-objects.ts'

/**
 * Looks at what lies in the store without reading artifacts: all that was sealed is there, in its size, with the very manifest that was
 * sealed and signed, and nothing else beside it.
 * @returns the manifest, by which the bytes can be judged
 * @throws OBJECT_NOT_FOUND, ARTIFACT_CORRUPT, SIGNATURE_UNKNOWN (the yardstick itself is not genuine), CONTENTS_DIFFER, what the store throws
 */
export async function checkMetadata(secrets: Secrets, store: Store, subject: VerificationSubject): Promise<Manifest> {
  const manifest = readOwn(secrets, subject)
  const manifestKey = `${subject.keyPrefix}${MANIFEST_NAME}`
  const sizes = new Map([
    [manifestKey, Buffer.byteLength(subject.manifest)],
    ...manifest.artifacts.map(({ key, stored_size: size }) => [key, size] as const),
  ])
  const found = new Map<string, number>()
  for await (const { key, size } of store.list(subject.keyPrefix)) found.set(key, size)
  const missing: string[] = []
  for (const key of sizes.keys()) {
    // A listing may lag behind; only who asks for the object itself knows that it is not there.
    const size = found.get(key) ?? (await store.head(key))?.size
    if (size === undefined) missing.push(key)
    else found.set(key, size)
  }
  if (missing.length > 0)
    throw new CofferError('OBJECT_NOT_FOUND', `the store lacks ${missing.join(', ')}`, { details: { missing } })
  const resized = [...sizes].filter(([key, size]) => found.get(key) !== size)
  if (resized.length > 0)
    throw corrupt(resized.map(([key, size]) => `${key} has ${found.get(key)} bytes, sealed were ${size}`))
  if ((await readText(store, manifestKey)) !== subject.manifest)
    throw corrupt([`${manifestKey} is not the manifest that was sealed`])
  const unexpected = [...found.keys()].filter((key) => !sizes.has(key) && key !== `${subject.keyPrefix}${STATE_NAME}`)
  if (unexpected.length > 0)
    throw new CofferError(
      'CONTENTS_DIFFER',
      `beside what was sealed there lies ${unexpected.sort().slice(0, 10).join(', ')}`,
    )
  return manifest
}

/** The catalog's own text of it, which must be genuine and of this very attempt. */
function readOwn(secrets: Secrets, subject: VerificationSubject): Manifest {
  let manifest: Manifest
  try {
    manifest = decodeManifest(secrets, subject.manifest)
  } catch (cause) {
    const message = `the catalog's own copy of the manifest does not carry the signature of this process's secret key`
    throw new CofferError('SIGNATURE_UNKNOWN', message, { cause })
  }
  const { id, attempt } = manifest.service_instance_backup
  if (id !== subject.id || attempt !== subject.attempt)
    throw new CofferError('CONTENTS_DIFFER', `its manifest is of attempt ${attempt} of service-instance backup ${id}`)
  const byKey = (records: Manifest['artifacts']) => records.toSorted((a, b) => (a.key < b.key ? -1 : 1))
  if (!isDeepStrictEqual(byKey(manifest.artifacts), byKey(subject.artifacts)))
    throw new CofferError('CONTENTS_DIFFER', `the catalog's records of its artifacts are not those of its manifest`)
  return manifest
}

const corrupt = (findings: string[]) =>
  new CofferError('ARTIFACT_CORRUPT', findings.join('; '), { details: { findings } })
