import { channel } from 'node:diagnostics_channel'

/** The instants between which a crash leaves something different behind (ARCHITECTURE.md, "what each crash leaves"). */
export type Step =
  | 'after-claim'
  | 'mid-part'
  | 'before-complete'
  | 'after-complete'
  | 'before-manifest'
  | 'after-manifest'
  | 'before-restore-commit'
  | 'prune-labelled'
  | 'prune-deleting'
  | 'prune-manifest-gone'
  | 'prune-objects-gone'
  | 'notify-sending'
  | 'notify-sent'

/** Published synchronously on the diagnostics channel `coffer:step`; costs nothing while nobody subscribes. */
const steps = channel('coffer:step')

/** Tells subscribers (a tracer, a crash test) that this instant was reached. */
export function reached(step: Step, detail: Record<string, unknown> = {}): void {
  if (steps.hasSubscribers) steps.publish({ step, ...detail })
}
