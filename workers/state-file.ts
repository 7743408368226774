import { BackupState, MANIFEST_FORMAT } from '../shared/domain/manifest.ts'

/** The text of state.json. */
export function encodeState(
  id: string,
  changing: Pick<BackupState, 'label' | 'hold' | 'scheduled_for_deletion_at'>,
  now: Date,
): string {
  const state = BackupState.parse({
    format: MANIFEST_FORMAT,
    service_instance_backup: id,
    label: changing.label,
    hold: changing.hold,
    scheduled_for_deletion_at: changing.scheduled_for_deletion_at,
    updated_at: now.toISOString(),
  })
  return `${JSON.stringify(state, null, 2)}\n`
}
