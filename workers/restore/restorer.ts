import type { MediaBounds } from '../../shared/catalog/media-bounds.ts'
import type { Egress } from '../../shared/catalog/service-instances.ts'
import type { WorkerConfig } from '../../shared/config.ts'
import type { Connection } from '../../shared/connections.ts'
import type { ArtifactRecord } from '../../shared/domain/artifact.ts'
import type { Contents } from '../../shared/domain/manifest.ts'
import type { Selection } from '../../shared/domain/selection.ts'
import type { Store } from '../../shared/storage/store.ts'
import type { Life } from '../life.ts'

/** One service-instance backup on its way into one service instance. */
export interface RestorePart<Of extends Contents = Contents> {
  /** Of the service-instance restore. What an attempt leaves in the target is named after it, so that the next one finds it. */
  id: string
  /** From 1. More than 1: an earlier attempt of the same restore may have been killed anywhere. */
  attempt: number
  contents: Of
  selection: Selection
  connection: Connection
  /** Whose admin has registered the connection: where it may lead to depends on it. */
  egress: Egress
  /** Where a folder must lie, besides what the operator allows. */
  mediaBounds: MediaBounds
  config: WorkerConfig
  life: Life
  store: Store
  artifacts: readonly ArtifactRecord[]
  identities: readonly string[]
}

/** What a look at the target says, before anything is written. */
export interface Preflight {
  /** The target holds nothing that a restore could take away. */
  isEmpty: boolean
  /** The old state will lie beside the target until the restore is confirmed or undone. */
  keepsOldState: boolean
  /** How it will be done, for the reader and the report. */
  method: string
  /** What stands against it, all at once; empty: nothing. */
  findings: string[]
  /** What the restore will leave out, each with why; the report repeats it. */
  leftOut: string[]
}

/**
 * How one kind of contents is restored over a living target. After any end of any of these, a kill included, the target is the old
 * state or the new one, or `recover` makes it so.
 */
export interface Restorer<Of extends Contents> {
  /** Looks, and changes nothing. @throws only what keeps it from looking, such as SOURCE_UNREACHABLE */
  preflight(part: RestorePart<Of>): Promise<Preflight>
  /**
   * Finishes or undoes what a killed attempt of this restore has left. May run twice. `restored`: it had come through, nothing is left to do;
   * it says so until `forget`.
   */
  recover(part: RestorePart<Of>): Promise<'as-before' | 'restored'>
  /** @returns what was restored and compared, for the report. */
  restore(part: RestorePart<Of>, preflight: Preflight): Promise<Record<string, unknown>>
  /** The catalog knows how these restores into the target have ended: removes the marks by which `recover` tells. May run twice. */
  forget(part: Omit<RestorePart<Of>, 'life'>, ended: readonly string[]): Promise<void>
  /** The restore was accepted: removes what was kept of the old state. May run twice. */
  confirm(part: RestorePart<Of>): Promise<void>
  /** Brings back the old state that was kept. May run twice. @throws CONFLICT when none is kept (any more) */
  undo(part: RestorePart<Of>): Promise<void>
}
