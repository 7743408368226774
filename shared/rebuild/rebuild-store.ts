import type { Catalog } from '../catalog/database.ts'
import { sqlState } from '../catalog/database.ts'
import { rebuildBackup, type FoundPart, type PartFate } from '../catalog/rebuild.ts'
import { NOTHING_MADE, type Made } from '../catalog/rebuild-names.ts'
import type { Clock } from '../clock.ts'
import { BackupState, STATE_NAME } from '../domain/manifest.ts'
import { CofferError } from '../errors.ts'
import type { Secrets } from '../secrets.ts'
import type { Store } from '../storage/store.ts'
import { readText } from '../storage/text-objects.ts'
import { findManifests, judgeManifest, type FoundManifest } from './judge-manifest.ts'

/** Far beyond what Coffer writes. Anybody may have put it there. */
const MAX_STATE_BYTES = 64 * 1024

/** What a rebuild found in one store, and did. Lists hold the first 1000; the counts are of all. */
export interface RebuildReport {
  manifests: number
  /** Service-instance backups: new in the catalog; unfinished there and sealed here; known already. */
  added: number
  adopted: number
  known: number
  made: Made
  /** Of those that were added: which artifacts the store lacks. */
  lost: { service_instance_backup: string; missing: readonly string[] }[]
  /** Added, but nobody has signed them: bad until an admin accepts their backup. */
  unverified: { backup: string; service_instance_backup: string; key: string }[]
  unverified_count: number
  /** Manifests that are believed in nothing. */
  rejected: { key: string; reason: string }[]
  rejected_count: number
  /** What the store and the catalog say differently; nothing was changed. */
  differences: { service_instance_backup: string; key: string; what: string }[]
  differences_count: number
  /** Environments whose pruning was stopped, by id. */
  pruning_stopped: string[]
}

interface RebuildContext {
  catalog: Catalog
  secrets: Secrets
  clock: Clock
}

const SHOWN = 1000

/**
 * Adds to the catalog every backup of a store that it lacks, from manifests alone. May run on a living catalog, be killed, and run again:
 * each backup is one transaction, and nothing that is known is changed.
 * @throws what the store throws; CONFLICT when another rebuild is under way
 */
export async function rebuildFrom(
  context: RebuildContext,
  store: Store,
  place: { id: string; isDefault: boolean },
): Promise<RebuildReport> {
  const report = await context.catalog.exclusively('coffer rebuild', async () => {
    const { count, backups } = await findManifests(store)
    const report = emptyReport(count)
    for (const parts of backups.values()) await rebuildOne(context, store, place, parts, report)
    return report
  })
  if (report) return report
  throw new CofferError('CONFLICT', 'another rebuild of the catalog is under way')
}

/** @param parts keys of manifests of one backup: of each service instance, the attempts from the last to the first */
async function rebuildOne(
  { catalog, secrets, clock }: RebuildContext,
  store: Store,
  place: { id: string; isDefault: boolean },
  parts: readonly (readonly string[])[],
  report: RebuildReport,
): Promise<void> {
  const chosen: FoundManifest[] = []
  for (const keys of parts) {
    const found = await chooseAttempt({ secrets, store }, keys, report)
    if (found) chosen.push(found)
  }
  const together = requireOneBackup(chosen, report)
  const [first, ...others] = await Promise.all(together.map((found) => withState(store, found)))
  if (!first) return
  try {
    const { fates, made, environmentId } = await rebuildBackup(catalog, [first, ...others], place, clock())
    for (const [index, part] of [first, ...others].entries()) record(report, part, fates[index])
    for (const kind of Object.keys(made) as (keyof Made)[]) report.made[kind] += made[kind]
    const isChanged = fates.some(({ fate }) => fate === 'added' || fate === 'adopted')
    if (isChanged && !report.pruning_stopped.includes(environmentId)) report.pruning_stopped.push(environmentId)
  } catch (error) {
    const reason = unbelievable(error)
    if (reason === null) throw error
    for (const { keyPrefix } of together) reject(report, `${keyPrefix}manifest.json`, reason)
  }
}

/** The highest attempt that is signed; without any, the highest that is not. So nobody hides a backup by planting a later attempt. */
async function chooseAttempt(
  context: { secrets: Secrets; store: Store },
  keys: readonly string[],
  report: RebuildReport,
): Promise<FoundManifest | null> {
  let unverified: FoundManifest | null = null
  for (const key of keys) {
    const found = await judgeManifest(context, key)
    if (found.verdict === 'rejected') reject(report, key, found.reason)
    else if (found.verdict === 'genuine') {
      if (unverified)
        reject(report, `${unverified.keyPrefix}manifest.json`, 'it is not signed, and an earlier attempt is')
      return found
    } else unverified ??= found
  }
  return unverified
}

/** Signed ones stand for themselves; what is not signed must agree with its siblings, and never stands beside signed ones. */
function requireOneBackup(found: readonly FoundManifest[], report: RebuildReport): FoundManifest[] {
  const genuine = found.filter(({ verdict }) => verdict === 'genuine')
  const trusted = genuine[0] ?? found[0]
  return found.filter((one) => {
    const { organisation, application, environment } = one.manifest
    const isSame =
      organisation.id === trusted?.manifest.organisation.id &&
      application.id === trusted.manifest.application.id &&
      environment.id === trusted.manifest.environment.id
    if (one.verdict === trusted?.verdict && isSame) return true
    const reason = isSame ? 'it is not signed, and its siblings are' : 'its siblings belong to another environment'
    reject(report, `${one.keyPrefix}manifest.json`, reason)
    return false
  })
}

async function withState(store: Store, found: FoundManifest): Promise<FoundPart> {
  const { manifest, text, keyPrefix, missing, verdict } = found
  const state = parseState(await readText(store, `${keyPrefix}${STATE_NAME}`, MAX_STATE_BYTES))
  const isOwn = state?.service_instance_backup === manifest.service_instance_backup.id
  return { manifest, text, keyPrefix, missing, isGenuine: verdict === 'genuine', state: isOwn ? state : null }
}

function parseState(text: string | null): BackupState | null {
  try {
    return BackupState.parse(JSON.parse(text ?? 'null'))
  } catch {
    return null
  }
}

function record(report: RebuildReport, part: FoundPart, fate: PartFate | undefined): void {
  const { backup, service_instance_backup: found } = part.manifest
  const key = `${part.keyPrefix}manifest.json`
  if (!fate) return
  if (fate.fate === 'refused') {
    reject(report, key, fate.what)
    return
  }
  if (fate.fate === 'differs') {
    report.differences_count++
    show(report.differences, { service_instance_backup: found.id, key, what: fate.what })
    return
  }
  report[fate.fate]++
  if (fate.fate !== 'added') return
  if (part.missing.length > 0) show(report.lost, { service_instance_backup: found.id, missing: part.missing })
  if (part.isGenuine) return
  report.unverified_count++
  show(report.unverified, { backup: backup.id, service_instance_backup: found.id, key })
}

function reject(report: RebuildReport, key: string, reason: string): void {
  report.rejected_count++
  show(report.rejected, { key, reason })
}

function show<Entry>(list: Entry[], entry: Entry): void {
  if (list.length < SHOWN) list.push(entry)
}

/** A manifest whose ids or values the catalog can't take; null: it is the catalog that failed. */
function unbelievable(error: unknown): string | null {
  if (error instanceof CofferError) return error.code === 'CONFLICT' ? error.message : null
  // Data exceptions and violated constraints.
  return /^2[23]/.test(sqlState(error)) ? `the catalog can't take it: ${(error as Error).message}` : null
}

const emptyReport = (manifests: number): RebuildReport => ({
  manifests,
  added: 0,
  adopted: 0,
  known: 0,
  made: { ...NOTHING_MADE },
  lost: [],
  unverified: [],
  unverified_count: 0,
  rejected: [],
  rejected_count: 0,
  differences: [],
  differences_count: 0,
  pruning_stopped: [],
})
