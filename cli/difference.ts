/** What differs between two documents, a line for each value: `retention.on_demand.keep_days: 30 -> 60`. Empty: nothing. */
export function differences(before: unknown, after: unknown): string[] {
  const [old, wanted] = [flatten(before), flatten(after)]
  return [...new Set([...old.keys(), ...wanted.keys()])]
    .filter((path) => old.get(path) !== wanted.get(path))
    .map((path) => `${path}: ${old.get(path) ?? 'none'} -> ${wanted.get(path) ?? 'none'}`)
}

/** Every value by its path. Items of a list go by their position and, where they have one, their name. */
function flatten(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null) {
    return new Map(value === undefined || value === null ? [] : [[path, JSON.stringify(value)]])
  }
  const entries = Array.isArray(value)
    ? value.map((item, index) => [keyOf(item, index), item] as const)
    : Object.entries(value)
  return new Map(entries.flatMap(([key, item]) => [...flatten(item, path === '' ? key : `${path}.${key}`)]))
}

function keyOf(item: unknown, index: number): string {
  const named = item as { name?: unknown; label?: unknown } | null
  const name = named?.name ?? named?.label
  return typeof name === 'string' ? name : String(index)
}
