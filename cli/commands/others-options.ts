import type { Command } from 'commander'
import { CofferError } from '../../shared/errors.ts'

/**
 * For a command that does something itself and has verbs as well: an option of its own that follows a verb which has no such option would be
 * taken in silence. @throws USAGE_INVALID
 */
export function refuseOthersOptions(command: Command, verb: Command): void {
  const takes = new Set(verb.options.map((option) => option.attributeName()))
  for (const option of command === verb ? [] : command.options) {
    const name = option.attributeName()
    if (takes.has(name) || command.getOptionValueSource(name) !== 'cli') continue
    const called = `coffer ${command.name()} ${verb.name()}`
    throw new CofferError('USAGE_INVALID', `${called} takes no ${option.long ?? option.flags}`)
  }
}
