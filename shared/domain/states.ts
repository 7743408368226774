export const STATES = ['QUEUED', 'RUNNING', 'SEALING', 'COMPLETED', 'DELETING', 'DELETED'] as const
export type State = (typeof STATES)[number]

/** null until COMPLETED. PARTIAL: readable, but files could not be read (of a backup: some siblings failed). */
export const OUTCOMES = ['SUCCESS', 'PARTIAL', 'FAILURE', 'CANCELLED'] as const
export type Outcome = (typeof OUTCOMES)[number]

export const TRIGGERS = ['MANUAL', 'SCHEDULED', 'UPLOAD', 'PRE_RESTORE'] as const
export type Trigger = (typeof TRIGGERS)[number]

export const POLICY_CLASSES = ['scheduled', 'on_demand', 'temporary', 'safety'] as const
export type PolicyClass = (typeof POLICY_CLASSES)[number]

export const SERVICE_TYPES = ['DATABASE', 'STORAGE'] as const
export type ServiceType = (typeof SERVICE_TYPES)[number]

/** Which rule keeps a backup, decided once when it is created. */
export function policyClassOf(trigger: Trigger, hasDeletionDate: boolean): PolicyClass {
  if (trigger === 'PRE_RESTORE') return 'safety'
  if (hasDeletionDate) return 'temporary'
  return trigger === 'SCHEDULED' ? 'scheduled' : 'on_demand'
}

/** The `success` of a backup from its siblings' (DESIGN: SUCCESS all, PARTIAL some, FAILURE none). */
export function outcomeOfBackup(siblings: readonly Outcome[]): Outcome {
  if (siblings.length > 0 && siblings.every((outcome) => outcome === 'SUCCESS')) return 'SUCCESS'
  if (siblings.some((outcome) => outcome === 'SUCCESS' || outcome === 'PARTIAL')) return 'PARTIAL'
  if (siblings.length > 0 && siblings.every((outcome) => outcome === 'CANCELLED')) return 'CANCELLED'
  return 'FAILURE'
}
