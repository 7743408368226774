import { migrate } from '../shared/catalog/migrate.ts'

/** `npm run migrate`: for those who run producer and workers by themselves. `npm run up` does it on its own. */
const databaseUrl = process.env.COFFER_DATABASE_URL ?? ''
if (databaseUrl === '') {
  console.error('COFFER_DATABASE_URL is unset: give the address of the catalog')
  process.exit(2)
}
await migrate(databaseUrl, (line) => console.log(line))
