import { z } from 'zod'
import { ArtifactRecord } from './artifact.ts'
import { OUTCOMES, POLICY_CLASSES, SERVICE_TYPES, TRIGGERS } from './states.ts'

export const MANIFEST_FORMAT = 1
export const MANIFEST_NAME = 'manifest.json'
export const STATE_NAME = 'state.json'

const timestamp = z.iso.datetime()
const named = z.object({ id: z.uuid(), slug: z.string(), name: z.string() })

/** What a restore and a drill compare with. Row counts are exact, taken from the dump's own stream. */
export const DumpContents = z.object({
  kind: z.literal('postgresql'),
  server_version: z.string(),
  client_version: z.string(),
  database: z.string(),
  encoding: z.string(),
  collate: z.string(),
  ctype: z.string(),
  extensions: z.array(z.object({ name: z.string(), version: z.string(), schema: z.string() })),
  tables: z.array(z.object({ schema: z.string(), name: z.string(), rows: z.int().nonnegative() })),
  large_objects: z.int().nonnegative(),
  toc_entries: z.int().nonnegative(),
})
export type DumpContents = z.infer<typeof DumpContents>

export const MediaContents = z.object({
  kind: z.literal('media'),
  /** Name of the member inside the archive that carries the list: MANIFEST, or MANIFEST.coffer where the tree has its own. */
  list_member: z.string(),
  entries: z.int().nonnegative(),
  files: z.int().nonnegative(),
  bytes: z.int().nonnegative(),
  changed: z.int().nonnegative(),
  skipped: z.int().nonnegative(),
  unreadable: z.int().nonnegative(),
})
export type MediaContents = z.infer<typeof MediaContents>

export const Contents = z.discriminatedUnion('kind', [DumpContents, MediaContents])
export type Contents = z.infer<typeof Contents>

/** manifest.json: written last, deleted first. Without it there is no backup. Not encrypted, no secrets. */
export const Manifest = z.object({
  format: z.literal(MANIFEST_FORMAT),
  coffer_version: z.string(),
  organisation: named,
  application: named,
  environment: named.extend({ timezone: z.string() }),
  backup: z.object({
    id: z.uuid(),
    trigger: z.enum(TRIGGERS),
    policy_class: z.enum(POLICY_CLASSES),
    schedule: z.string().nullable(),
    due_at: timestamp.nullable(),
    bucket_date: z.iso.date(),
    notes: z.string(),
    created_at: timestamp,
  }),
  service_instance_backup: z.object({
    id: z.uuid(),
    service_instance: z.uuid(),
    service_type: z.enum(SERVICE_TYPES),
    prefix: z.string(),
    attempt: z.int().positive(),
    success: z.enum(OUTCOMES),
    warnings: z.array(z.string()),
  }),
  region: z.string(),
  /** The snapshot's time: what the data looked like then is what a restore gives back. */
  taken_at: timestamp,
  started_at: timestamp,
  ended_at: timestamp,
  artifacts: z.array(ArtifactRecord).min(1),
  /** The age recipients (public keys) that can read the artifacts. Empty: not encrypted by Coffer. */
  recipients: z.array(z.string()),
  contents: Contents,
  /** HMAC-SHA-256, lower-case hex, over the canonical JSON of all other fields. */
  mac: z.string().regex(/^[0-9a-f]{64}$/),
})
export type Manifest = z.infer<typeof Manifest>
export type UnsignedManifest = Omit<Manifest, 'mac'>

/** state.json: what may change after the seal. */
export const BackupState = z.object({
  format: z.literal(MANIFEST_FORMAT),
  service_instance_backup: z.uuid(),
  label: z.string().nullable(),
  hold: z.object({ reason: z.string(), since: timestamp }).nullable(),
  scheduled_for_deletion_at: timestamp.nullable(),
  updated_at: timestamp,
})
export type BackupState = z.infer<typeof BackupState>
