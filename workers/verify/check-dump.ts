import type { DumpContents } from '../../shared/domain/manifest.ts'
import { CofferError } from '../../shared/errors.ts'
import { DumpParser } from '../../shared/postgres/dump-parser.ts'

/** Parses a dump as it passes, as it was parsed when it was taken, and compares it with its manifest at the end. */
export class DumpCheck {
  readonly #parser = new DumpParser()
  #failure: unknown = null

  /** Never throws: whether the bytes are right is to be known first, so a failure is kept for `finish`. */
  inspect(chunk: Buffer): void {
    if (this.#failure !== null) return
    try {
      this.#parser.push(chunk)
    } catch (error) {
      this.#failure = error
    }
  }

  /** @throws DUMP_INVALID, CONTENTS_DIFFER */
  finish(expected: DumpContents): { tables: number; rows: number; large_objects: number; toc_entries: number } {
    if (this.#failure !== null) throw this.#failure as Error
    const parsed = this.#parser.end()
    const differences = differencesOf(
      { ...parsed, large_objects: parsed.largeObjects, toc_entries: parsed.tocEntries },
      expected,
    )
    if (differences.length > 0)
      throw new CofferError(
        'CONTENTS_DIFFER',
        `the dump does not hold what its manifest says: ${differences.slice(0, 10).join('; ')}`,
        { details: { differences } },
      )
    return {
      tables: parsed.tables.length,
      rows: parsed.tables.reduce((sum, { rows }) => sum + rows, 0),
      large_objects: parsed.largeObjects,
      toc_entries: parsed.tocEntries,
    }
  }
}

type Counted = Pick<DumpContents, 'tables' | 'large_objects' | 'toc_entries' | 'encoding'>

function differencesOf(found: Counted, expected: Counted): string[] {
  const rowsOf = ({ tables }: Counted) =>
    new Map(tables.map(({ schema, name, rows }) => [JSON.stringify([schema, name]), rows]))
  const [held, recorded] = [rowsOf(found), rowsOf(expected)]
  const tables = [...new Set([...held.keys(), ...recorded.keys()])].flatMap((key) => {
    const [rows, wanted] = [held.get(key), recorded.get(key)]
    if (rows === wanted) return []
    const name = (JSON.parse(key) as string[]).join('.')
    return [`${name} has ${rows ?? 'no data, not 0'} rows, recorded were ${wanted ?? 'none: it is not recorded'}`]
  })
  const others = (['large_objects', 'toc_entries', 'encoding'] as const).flatMap((what) =>
    found[what] === expected[what] ? [] : [`${what} is ${found[what]}, recorded was ${expected[what]}`],
  )
  return [...tables, ...others]
}
