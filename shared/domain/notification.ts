/** Every kind of alert, as a person reads it: raised, and resolved. */
export const ALERT_KINDS = {
  overdue: ['backup overdue', 'backup no longer overdue'],
  missed: ['due times missed', 'backups are taken again'],
  suspect: ['backup suspect: its size collapsed', 'size of the backup accepted'],
  lost: ['backup lost from its store', 'backup found again'],
  corrupt: ['backup corrupt', 'corrupt backup settled'],
  'prune-stopped': ['pruning stopped', 'pruning allowed again'],
  'prune-failed': ['deletion failed', 'deletion went through'],
  'verify-unreadable': ['backup could not be read', 'backup can be read again'],
  'verify-failed': ['backup is not what its manifest says', 'backup is what its manifest says again'],
  'verify-overdue': ['verification overdue', 'verification no longer overdue'],
  'drill-failed': ['restore drill failed', 'restore drill passed again'],
  'drill-overdue': ['restore drill overdue', 'restore drill no longer overdue'],
  'restore-unfinished': ['target may be half restored', 'target whole again'],
  keys: ['trouble with the keys', 'keys in order again'],
  'workers-down': ['no worker lives', 'workers live again'],
  'notify-failed': ['notifications could not be delivered', 'notifications are delivered again'],
} as const satisfies Record<string, readonly [raised: string, resolved: string]>

export type AlertKind = keyof typeof ALERT_KINDS

const BACKUP_EVENTS = {
  'backup.started': 'backup started',
  'backup.success': 'backup succeeded',
  'backup.partial': 'backup PARTIAL',
  'backup.failure': 'backup FAILED',
  'backup.recovered': 'backups work again',
} as const

export type BackupEventKind = keyof typeof BACKUP_EVENTS

/** What a POST …/test/ sends; never recorded. */
export const TEST_EVENT = 'test'

const TITLES = new Map<string, string>([
  ...Object.entries(BACKUP_EVENTS),
  ...Object.entries(ALERT_KINDS).flatMap(([kind, [raised, resolved]]): [string, string][] => [
    [`${kind}.raised`, raised],
    [`${kind}.resolved`, resolved],
  ]),
])

/** All that a sink can ask for. */
export const EVENT_KINDS: readonly string[] = [...TITLES.keys()]

/** A few words for a subject line. */
export const titleOf = (kind: string): string => TITLES.get(kind) ?? kind

export const SINK_TYPES = ['webhook', 'email', 'heartbeat'] as const
export type SinkType = (typeof SINK_TYPES)[number]

export const WEBHOOK_FORMATS = ['coffer', 'slack'] as const
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number]

export const DELIVERY_STATES = ['QUEUED', 'DELIVERED', 'GAVE_UP'] as const

/** What a heartbeat is pinged for; nothing else is sent to it. */
export const HEARTBEAT_KINDS: readonly BackupEventKind[] = [
  'backup.started',
  'backup.success',
  'backup.partial',
  'backup.failure',
]

/**
 * What a sink that names no kinds is not told. People get no mail for what went as it should; a program gets everything but that something
 * began. That an environment is no longer overdue is told by `backup.recovered`.
 */
export function exceptKinds(type: SinkType, format: WebhookFormat | null): string[] {
  if (type === 'heartbeat') return []
  return type === 'email' || format === 'slack'
    ? ['backup.started', 'backup.success', 'overdue.resolved']
    : ['backup.started']
}
