import { z } from 'zod'

const names = z.array(z.string('must be text').min(1, 'must not be empty').max(4096), 'must be a list').max(1000)

/**
 * What a restore takes of a service-instance backup. All three empty: everything.
 * `schemas` and `tables` (`schema.table`) are of a database, as its manifest names them; `paths` are of a media archive, relative to its
 * root: a file, or a folder with all that is in it.
 */
export const Selection = z.strictObject({
  schemas: names.default([]),
  tables: names.default([]),
  paths: names.default([]),
})
export type Selection = z.infer<typeof Selection>

export const isEverything = ({ schemas, tables, paths }: Selection): boolean =>
  schemas.length + tables.length + paths.length === 0
