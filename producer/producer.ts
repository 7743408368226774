import type { Catalog } from '../shared/catalog/database.ts'
import type { Clock } from '../shared/clock.ts'
import type { EgressPolicy } from '../shared/egress/policy.ts'
import type { RootPolicy } from '../shared/media/root.ts'
import type { Logger } from '../shared/log.ts'
import type { Outlets } from '../shared/notify/send.ts'
import type { Queues } from '../shared/queues.ts'
import type { Ringer } from '../shared/ringer.ts'
import type { Secrets } from '../shared/secrets.ts'
import type { Store } from '../shared/storage/store.ts'

/** What the routes work with. */
export interface Producer {
  /** Aborts when the producer stops: what would go on without end must end then. */
  stopping: AbortSignal
  catalog: Catalog
  queues: Queues
  ringer: Pick<Ringer, 'nudge'>
  secrets: Secrets
  clock: Clock
  log: Logger
  settings: ProducerSettings
  /** The store of this id, opened once and kept. @throws NOT_FOUND */
  openStore: (id: string) => Promise<Store>
  /** Opens what is to become a store, and proves that it works. @throws REQUEST_INVALID, and what stands against it */
  tryStore: (url: string) => Promise<void>
  /** The store that new backups go to. */
  defaultStore: Store
  /** age secret keys of COFFER_AGE_IDENTITY_FILE; none: plain downloads are not offered. */
  identities: readonly string[]
  /** How notification sinks are reached. */
  outlets: Outlets
}

export interface ProducerSettings {
  maxTries: number
  /** How long a download link works. */
  linkSeconds: number
  /** How long an upload waits to be sent and finished. */
  uploadSeconds: number
  /** The largest upload, as it is sent and as it unpacks. */
  uploadMaxBytes: number
  /** How long a download or upload may move no bytes, in either direction. */
  idleSeconds: number
  media: RootPolicy
  /** Those of COFFER_AGE_RECIPIENTS. */
  recipients: readonly string[]
  identityFile: string | undefined
  /** Workers that have shown no life for so long are down. */
  workersDownSeconds: number
  /** How much one token may ask for, and make. */
  requestsPerMinute: number
  creationsPerMinute: number
  /** For what an organisation's admin registers. */
  egress: EgressPolicy
}
