import { CofferError } from './errors.ts'
import { canonicalJson } from './domain/canonical-json.ts'
import { Manifest, type UnsignedManifest } from './domain/manifest.ts'
import type { Secrets } from './secrets.ts'

/** The text of manifest.json, with its MAC. */
export function encodeManifest(secrets: Secrets, unsigned: UnsignedManifest): string {
  const manifest: Manifest = { ...unsigned, mac: secrets.mac('manifest', canonicalJson(unsigned)) }
  return `${JSON.stringify(Manifest.parse(manifest), null, 2)}\n`
}

/**
 * Parses a manifest and checks its MAC.
 * @throws ARTIFACT_CORRUPT when it isn't a manifest, was altered, or was not written with this secret key
 */
export function decodeManifest(secrets: Secrets, text: string): Manifest {
  const parsed = Manifest.safeParse(parseJson(text))
  if (!parsed.success)
    throw new CofferError('ARTIFACT_CORRUPT', 'the manifest does not follow the format', { cause: parsed.error })
  const { mac, ...unsigned } = parsed.data
  if (!secrets.checkMac('manifest', canonicalJson(unsigned), mac))
    throw new CofferError(
      'ARTIFACT_CORRUPT',
      `the manifest of service-instance backup ${unsigned.service_instance_backup.id} does not carry this Coffer's signature`,
    )
  return parsed.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CofferError('ARTIFACT_CORRUPT', 'the manifest is not JSON', { cause })
  }
}
