import { channel } from 'node:diagnostics_channel'

/** The instants between which a crash leaves something different behind (ARCHITECTURE.md, "what each crash leaves"). */
export type Step =
  | 'after-claim'
  | 'mid-part'
  | 'before-complete'
  | 'after-complete'
  | 'before-manifest'
  | 'after-manifest'
  | 'restore-claimed'
  | 'restore-waits'
  | 'restore-checked'
  | 'before-restore-commit'
  | 'upload-received'
  | 'restore-done'
  | 'restore-ended'
  | 'drill-restored'
  | MediaStep
  | 'restore-committed'
  | 'restore-scratch-made'
  | 'restore-compared'
  | 'restore-carried'
  | 'restore-closed'
  | 'restore-swapped'
  | 'restore-undone'
  | 'prune-labelled'
  | 'prune-deleting'
  | 'prune-manifest-gone'
  | 'prune-objects-gone'
  | 'notify-sending'
  | 'notify-sent'

/** Of a restore over a living folder. */
export type MediaStep =
  | 'media-staging-made'
  | 'media-member-staged'
  | 'media-staged'
  | 'media-journal-written'
  | 'media-journal-committed'
  | 'media-root-made'
  | 'media-old-aside'
  | 'media-new-in'
  | 'media-rolled'
  | 'media-removing'
  | 'media-new-out'
  | 'media-old-back'
  | 'media-undone'

/** Published synchronously on the diagnostics channel `coffer:step`; costs nothing while nobody subscribes. */
const steps = channel('coffer:step')

/** Tells subscribers (a tracer, a crash test) that this instant was reached. */
export function reached(step: Step, detail: Record<string, unknown> = {}): void {
  if (steps.hasSubscribers) steps.publish({ step, ...detail })
}
