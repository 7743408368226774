import { z } from 'zod'

export const ARTIFACT_KINDS = ['dump', 'archive', 'file-list'] as const
export type ArtifactKind = (typeof ARTIFACT_KINDS)[number]

/** The object's name inside the folder of its attempt. */
export const ARTIFACT_NAMES: Record<ArtifactKind, string> = {
  dump: 'dump.pgdump.zst.age',
  archive: 'media.tar.zst.age',
  'file-list': 'files.ndjson.zst.age',
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/** One stored object as the manifest records it. Sizes in bytes; hashes are lower-case hex SHA-256. */
export const ArtifactRecord = z.object({
  kind: z.enum(ARTIFACT_KINDS),
  key: z.string().min(1),
  plain_size: z.int().nonnegative(),
  plain_sha256: sha256,
  stored_size: z.int().nonnegative(),
  stored_sha256: sha256,
  /** Applied in this order to the plain bytes. */
  encodings: z.array(z.enum(['zstd', 'age'])),
})
export type ArtifactRecord = z.infer<typeof ArtifactRecord>
