import { ARTIFACT_NAMES } from '../domain/artifact.ts'
import { attemptPrefix, parseKey } from '../domain/keys.ts'
import type { Manifest } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import { inspectManifest } from '../manifest.ts'
import type { Secrets } from '../secrets.ts'
import type { Store } from '../storage/store.ts'
import { readText } from '../storage/text-objects.ts'

/** A manifest of a thousand tables has some 100 KiB. */
const MAX_BYTES = 64 * 1024 * 1024
const MAX_ATTEMPT = 1_000_000
const SLUG = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const PREFIX = /^[A-Z0-9][A-Z0-9_]{0,31}$/

export interface FoundManifest {
  /** unverified: whole and in its place, but without this Coffer's signature. */
  verdict: 'genuine' | 'unverified'
  text: string
  manifest: Manifest
  /** The folder of its attempt, ends with '/'. */
  keyPrefix: string
  /** Keys of artifacts that are not there, or not in their size. */
  missing: string[]
}

export type Judgement = FoundManifest | { verdict: 'rejected'; reason: string }

/**
 * What a manifest in a store is worth. One that anybody may have put there is believed in nothing that can be looked at: its place must
 * be the one that its own names and ids say, its artifacts must lie beside it under their fixed names, and be there in their sizes.
 * @throws what the store throws
 */
export async function judgeManifest(
  { secrets, store }: { secrets: Secrets; store: Store },
  key: string,
): Promise<Judgement> {
  const object = await store.head(key)
  if (!object) return { verdict: 'rejected', reason: 'it is not there any more' }
  if (object.size > MAX_BYTES) return { verdict: 'rejected', reason: `it has ${object.size} bytes` }
  const text = (await readText(store, key)) ?? ''
  try {
    const { manifest, isGenuine } = inspectManifest(secrets, text)
    const keyPrefix = key.slice(0, key.lastIndexOf('/') + 1)
    const problem = problemOf(manifest, text, keyPrefix)
    if (problem !== null) return { verdict: 'rejected', reason: problem }
    const { missing, resized } = await lookForArtifacts(store, manifest)
    if (!isGenuine && resized.length > 0)
      return { verdict: 'rejected', reason: `${resized.join(', ')} has another size than it says` }
    return {
      verdict: isGenuine ? 'genuine' : 'unverified',
      text,
      manifest,
      keyPrefix,
      missing: [...missing, ...resized],
    }
  } catch (error) {
    if (error instanceof CofferError && error.code === 'ARTIFACT_CORRUPT')
      return { verdict: 'rejected', reason: error.message }
    throw error
  }
}

function problemOf(manifest: Manifest, text: string, keyPrefix: string): string | null {
  const { organisation, application, environment, backup, service_instance_backup: part, contents } = manifest
  if (text.includes(String.raw`\u0000`)) return 'it holds a NUL'
  for (const { slug } of [organisation, application, environment])
    if (!SLUG.test(slug)) return `${JSON.stringify(slug)} is not a slug`
  if (!PREFIX.test(part.prefix)) return `${JSON.stringify(part.prefix)} is not a prefix`
  if (part.attempt > MAX_ATTEMPT) return `nothing has ${part.attempt} attempts`
  if (!isTimeZone(environment.timezone)) return `${JSON.stringify(environment.timezone)} is not a time zone`
  const place = attemptPrefix({
    organisation: organisation.slug,
    application: application.slug,
    environment: environment.slug,
    createdAt: new Date(backup.created_at),
    backupId: backup.id,
    servicePrefix: part.prefix,
    serviceType: part.service_type,
    attempt: part.attempt,
  })
  if (place !== keyPrefix) return `it says that it lies in ${place}`
  if ((part.service_type === 'STORAGE') !== (contents.kind === 'media'))
    return `a ${part.service_type} has no ${contents.kind}`
  if (part.success !== 'SUCCESS' && part.success !== 'PARTIAL') return `it says that it ended ${part.success}`
  return artifactProblem(manifest, keyPrefix)
}

function artifactProblem({ artifacts, service_instance_backup: part }: Manifest, keyPrefix: string): string | null {
  const kinds = new Set(artifacts.map(({ kind }) => kind))
  if (kinds.size < artifacts.length) return 'it lists two artifacts of one kind'
  if (kinds.has('dump') !== (part.service_type === 'DATABASE')) return `a ${part.service_type} has other artifacts`
  const stray = artifacts.find(({ kind, key }) => key !== `${keyPrefix}${ARTIFACT_NAMES[kind]}`)
  return stray ? `its ${stray.kind} lies elsewhere: ${JSON.stringify(stray.key)}` : null
}

function isTimeZone(name: string): boolean {
  try {
    return /^[A-Za-z]/.test(name) && new Intl.DateTimeFormat('en', { timeZone: name }).format(0) !== ''
  } catch {
    return false
  }
}

async function lookForArtifacts(
  store: Store,
  { artifacts }: Manifest,
): Promise<{ missing: string[]; resized: string[] }> {
  const missing: string[] = []
  const resized: string[] = []
  for (const { key, stored_size } of artifacts) {
    const object = await store.head(key)
    if (!object) missing.push(key)
    else if (object.size !== stored_size) resized.push(key)
  }
  return { missing, resized }
}

/** Every place that has a manifest: by the folder of its backup, then by service instance, the attempts from the last to the first. */
export async function findManifests(store: Store): Promise<{ count: number; backups: Map<string, string[][]> }> {
  const parts = new Map<string, { attempt: number; key: string }[]>()
  let count = 0
  for await (const { key } of store.list('')) {
    const parsed = parseKey(key)
    if (parsed?.name !== 'manifest.json') continue
    count++
    parts.set(parsed.attempts, [...(parts.get(parsed.attempts) ?? []), { attempt: parsed.attempt, key }])
  }
  const backups = new Map<string, string[][]>()
  for (const [attempts, found] of [...parts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const folder = attempts.slice(0, attempts.lastIndexOf('/') + 1)
    const keys = found.sort((a, b) => b.attempt - a.attempt).map(({ key }) => key)
    backups.set(folder, [...(backups.get(folder) ?? []), keys])
  }
  return { count, backups }
}
