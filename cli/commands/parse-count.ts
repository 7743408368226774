import { InvalidArgumentError } from 'commander'

/** A whole number from 1, for an option. */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('write a whole number from 1 to 999999.')
  return Number(text)
}
