import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'
import { parseDuration } from '../duration.ts'

export interface WaitOptions {
  wait?: boolean
  /** Milliseconds. */
  timeout?: number
}

export function withWait(command: Command): Command {
  return command
    .option('--wait', 'wait until it has ended, showing progress')
    .option('--timeout <duration>', 'with --wait: give up after, for example, 30m', parseDuration)
}

export function checkWait({ wait, timeout }: WaitOptions): void {
  if (timeout !== undefined && wait !== true)
    throw new CofferError('USAGE_INVALID', '--timeout bounds a wait: give --wait, too')
}
