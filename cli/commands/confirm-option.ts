import type { Command } from 'commander'
import { collect } from './collect.ts'

export interface ConfirmOptions {
  confirm?: string[]
}

export const withConfirm = (command: Command): Command =>
  command.option(
    '--confirm <digest>',
    'that the backups may go which an earlier refusal named; may be repeated',
    collect,
  )
