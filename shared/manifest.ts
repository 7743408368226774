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
  const { manifest, isGenuine } = inspectManifest(secrets, text)
  if (isGenuine) return manifest
  throw new CofferError(
    'ARTIFACT_CORRUPT',
    `the manifest of service-instance backup ${manifest.service_instance_backup.id} does not carry this Coffer's signature; an admin who knows where it comes from can accept it: coffer catalog accept ${manifest.backup.id}`,
  )
}

/** Parses a manifest, and tells whether it was written with this secret key and not altered. @throws ARTIFACT_CORRUPT when it isn't one */
export function inspectManifest(
  secrets: Secrets,
  text: string,
): { manifest: Manifest; unsigned: UnsignedManifest; isGenuine: boolean } {
  const parsed = Manifest.safeParse(parseJson(text))
  if (!parsed.success)
    throw new CofferError('ARTIFACT_CORRUPT', 'the manifest does not follow the format', { cause: parsed.error })
  const { mac, ...unsigned } = parsed.data
  const isGenuine = secrets.checkMac('manifest', canonicalJson(unsigned), mac)
  return { manifest: parsed.data, unsigned, isGenuine }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CofferError('ARTIFACT_CORRUPT', 'the manifest is not JSON', { cause })
  }
}
