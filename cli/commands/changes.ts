import { CofferError } from '../../shared/errors.ts'

/** The options that were given, as the body of an update. Throws USAGE_INVALID when there is none. */
export function changesIn<K extends string>(
  options: Partial<Record<K, string>>,
  names: readonly K[],
): Partial<Record<K, string>> {
  const given = names.filter((name) => options[name] !== undefined)
  if (given.length === 0) {
    throw new CofferError('USAGE_INVALID', `nothing to change: give ${names.map((name) => `--${name}`).join(' or ')}`)
  }
  return Object.fromEntries(given.map((name) => [name, options[name]])) as Partial<Record<K, string>>
}
