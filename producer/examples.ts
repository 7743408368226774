/** The ids that the examples use, by what they are of. */
export const EXAMPLE_IDS = {
  application: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a01',
  environment: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a02',
  service_instance: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a03',
  backup: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a04',
  service_instance_backup: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a05',
  store: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a06',
  plan: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a07',
  organisation: '6b1f6c2e-5a0e-4d4c-9c55-0c4b9a3f1a08',
} as const
const ids = EXAMPLE_IDS

export const EXAMPLE_KEY = 'age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z'

/** A body of every change that takes one. A test sends them all, with the ids of what it has made. */
export const EXAMPLES: Readonly<Record<string, object>> = {
  'POST /apps/v3/organisations/': { slug: 'acme', name: 'Acme', media_roots: [] },
  'PATCH /apps/v3/organisations/:uuid/': { name: 'Acme Ltd' },
  'POST /apps/v3/applications/': { slug: 'shop', name: 'The shop' },
  'PATCH /apps/v3/applications/:uuid/': { name: 'The new shop' },
  'POST /apps/v3/plans/': {
    slug: 'nightly',
    name: 'Every night',
    schedules: [{ name: 'night', kind: 'daily', from: '01:00', until: '05:00' }],
    retention: {
      scheduled: { tiers: [{ label: 'daily', per: 'day', keep: 14 }] },
      on_demand: { keep_days: 30, keep_newest: 3 },
      safety: { keep_days: 7, keep_newest: 1 },
    },
  },
  'PATCH /apps/v3/plans/:uuid/': { expected_within_hours: 26 },
  'POST /apps/v3/environments/': { application: ids.application, slug: 'live', timezone: 'Europe/Zurich' },
  'PATCH /apps/v3/environments/:uuid/': { timezone: 'Europe/Berlin' },
  'POST /apps/v3/environments/:uuid/resume-pruning/': {},
  'POST /apps/v3/service-instances/': {
    environment: ids.environment,
    type: 'DATABASE',
    prefix: 'DEFAULT',
    connection: { url: 'postgres://shop:secret@db.example.com:5432/shop' },
  },
  'PATCH /apps/v3/service-instances/:uuid/': { prefix: 'MAIN' },
  'POST /apps/v3/stores/': { name: 'cold', url: 's3://backups?endpoint=https://s3.example.com&region=eu' },
  'POST /apps/v3/stores/:uuid/check/': {},
  'POST /apps/v3/catalog/rebuild/': { store: ids.store },
  'POST /apps/v3/keys/': { recipient: EXAMPLE_KEY, name: 'safe in the office', accept_unreadable: true },
  'POST /apps/v3/keys/:recipient/retire/': { accept_unreadable: true },
  'POST /apps/v3/tokens/': { name: 'nightly job', role: 'operator' },
  'POST /apps/v3/notification-sinks/': {
    name: 'chat',
    type: 'webhook',
    format: 'slack',
    url: 'https://chat.example.com/hook',
  },
  'PATCH /apps/v3/notification-sinks/:uuid/': { kinds: ['backup.failure', 'overdue.raised'] },
  'POST /apps/v3/notification-sinks/:uuid/test/': {},
  'POST /apps/v3/backups/': { environment: ids.environment, notes: 'before the update' },
  'PATCH /apps/v3/backups/:uuid/': { notes: 'before the big update' },
  'POST /apps/v3/backups/:uuid/hold/': { reason: 'evidence' },
  'POST /apps/v3/backups/:uuid/release/': {},
  'POST /apps/v3/backups/:uuid/acknowledge/': {},
  'POST /apps/v3/backups/:uuid/accept/': {},
  'POST /apps/v3/verifications/': { service_instance_backup: ids.service_instance_backup, level: 'checksum' },
  'POST /apps/v3/backup-downloads/': { backup: ids.backup },
  'POST /apps/v3/backup-restores/': {
    backup: ids.backup,
    service_instance_restores: [{ service_instance_backup: ids.service_instance_backup }],
    confirm: 'shop/live',
    notes: 'undo the update',
  },
  'POST /apps/v3/backup-restores/:uuid/cancel/': {},
  'POST /apps/v3/backup-restores/:uuid/confirm/': {},
  'POST /apps/v3/backup-restores/:uuid/undo/': {},
  'POST /apps/v3/backups/:uuid/delete/': { reason: 'a test', force: true },
  'POST /apps/v3/backups/:uuid/undelete/': {},
  'POST /apps/v3/backups/:uuid/cancel/': {},
  'POST /apps/v3/backups/:uuid/retry/': {},
  'POST /apps/v3/backups/upload/': {
    environment: ids.environment,
    services: [ids.service_instance],
    notes: 'from the old server',
  },
}
