import type { Catalog } from '../catalog/database.ts'
import { listUnverified, recordAccepted } from '../catalog/unverified.ts'
import type { Scope } from '../catalog/scope.ts'
import { MANIFEST_NAME } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { encodeManifest, inspectManifest } from '../manifest.ts'
import type { Secrets } from '../secrets.ts'
import type { Store } from '../storage/store.ts'
import { writeText } from '../storage/text-objects.ts'

/**
 * An admin says that a backup which was found without this Coffer's signature is genuine: its manifests are signed, in the store and in
 * the catalog, and from then on it counts as any other. May be killed and run again.
 * @throws NOT_FOUND, CONFLICT (nothing of it is unverified)
 */
export async function acceptManifests(
  context: { catalog: Catalog; secrets: Secrets; openStore: (id: string) => Promise<Store> },
  backupId: string,
  scope: Scope,
): Promise<void> {
  const { catalog, secrets, openStore } = context
  const parts = await listUnverified(catalog, backupId, scope)
  if (parts.length === 0) throw new CofferError('CONFLICT', `backup ${backupId} has no manifest to accept`)
  for (const { id, text, keyPrefix, storeId } of parts) {
    const signed = encodeManifest(secrets, inspectManifest(secrets, text).unsigned)
    await writeText(await openStore(storeId), `${keyPrefix}${MANIFEST_NAME}`, signed)
    await recordAccepted(catalog, id, signed)
  }
}
