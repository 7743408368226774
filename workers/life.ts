import type { Clock } from '../shared/clock.ts'
import type { WorkerConfig } from '../shared/config.ts'
import { CofferError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import type { RunProgress } from '../shared/catalog/service-instance-backups.ts'

export interface LifeOptions {
  /** Says whose life it is, in messages. */
  subject: string
  renew(progress: RunProgress | null): Promise<'held' | 'cancel-requested' | 'fenced'>
  leaseSeconds: number
  watchdogSeconds: number
  deadlineSeconds: number
  /** Aborted when the worker is told to stop. */
  stop: AbortSignal
  clock: Clock
  log: Logger
}

export type ProgressUpdate = Partial<Omit<RunProgress, 'updated_at'>>

/** The life of one run: its lease is renewed while it lasts, and `signal` aborts with the reason when it must end. */
export interface Life {
  readonly signal: AbortSignal
  /** Tells how far it is. Every report feeds the watchdog: report what has moved. */
  report(update: ProgressUpdate): void
  /** No more bytes will move. What is left, building indexes for example, takes as long as the deadline allows. */
  allMoved(): void
  /** From now on nothing but losing the lease ends it: what is being sealed is not cancelled any more. */
  beginSealing(): void
  /** Whether it has come so far: a manifest may lie in the store. */
  readonly isSealing: boolean
  end(): Promise<void>
}

/** A backup that took long to take may take as long to read, and its indexes even longer to build. */
export const deadlineToRead = (
  { COFFER_DEADLINE_SECONDS: least }: Pick<WorkerConfig, 'COFFER_DEADLINE_SECONDS'>,
  backupSeconds: number,
): number => Math.max(least, 5 * backupSeconds)

const BEAT_MS = 2_000

export function startLife(options: LifeOptions): Life {
  const controller = new AbortController()
  const startedAt = performance.now()
  let progress: RunProgress | null = null
  let movedAt = startedAt
  let everythingMoved = false
  let sealing = false
  let beating: Promise<void> | null = null

  const abort = (
    code: 'RUN_CANCELLED' | 'RUN_FENCED' | 'RUN_STALLED' | 'RUN_DEADLINE' | 'WORKER_STOPPED',
    message: string,
  ) => {
    if (controller.signal.aborted) return
    movedAt = performance.now()
    controller.abort(new CofferError(code, `${options.subject}: ${message}`))
  }
  const stopped = () => {
    if (!sealing) abort('WORKER_STOPPED', 'the worker was told to stop')
  }

  async function beat(): Promise<void> {
    const now = performance.now()
    const isQuiet = now - movedAt > options.watchdogSeconds * 1000
    // It hangs where nothing can interrupt it, on a dead mount for example. Without its lease another worker may take it up.
    if (isQuiet && (sealing || controller.signal.aborted)) return
    if (isQuiet && !everythingMoved) abort('RUN_STALLED', `no bytes moved for ${options.watchdogSeconds} seconds`)
    if (!sealing && now - startedAt > options.deadlineSeconds * 1000)
      abort('RUN_DEADLINE', `it took longer than its deadline of ${options.deadlineSeconds} seconds`)
    try {
      const answer = await options.renew(progress)
      if (answer === 'fenced') abort('RUN_FENCED', 'another worker has taken it over')
      if (answer === 'cancel-requested' && !sealing) abort('RUN_CANCELLED', 'it was cancelled on request')
    } catch (error) {
      // The catalog is away. Nothing can be sealed without it, and it decides later who holds the lease.
      options.log.warn({ err: error }, 'the lease could not be renewed')
    }
  }

  const timer = setInterval(
    () => {
      beating ??= beat().finally(() => {
        beating = null
      })
    },
    Math.min(BEAT_MS, (options.leaseSeconds * 1000) / 3),
  )
  if (options.stop.aborted) stopped()
  options.stop.addEventListener('abort', stopped, { once: true })

  return {
    signal: controller.signal,
    report(update) {
      movedAt = performance.now()
      progress = {
        plain_bytes: update.plain_bytes ?? progress?.plain_bytes ?? 0,
        stored_bytes: update.stored_bytes ?? progress?.stored_bytes ?? 0,
        expected_bytes: update.expected_bytes ?? progress?.expected_bytes ?? null,
        files: update.files ?? progress?.files ?? null,
        step: update.step ?? progress?.step ?? null,
        updated_at: options.clock().toISOString(),
      }
    },
    allMoved() {
      everythingMoved = true
    },
    beginSealing() {
      movedAt = performance.now()
      sealing = true
    },
    get isSealing() {
      return sealing
    },
    async end() {
      clearInterval(timer)
      options.stop.removeEventListener('abort', stopped)
      await beating
    },
  }
}
