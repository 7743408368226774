import { randomUUID } from 'node:crypto'
import { CofferError } from '../errors.ts'
import { violatedConstraint, type Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

/** An application as the API shows it. */
export interface ApplicationView {
  uuid: string
  slug: string
  name: string
  organisation: string
  created_at: Date
}

const VIEW = 'SELECT a.id AS uuid, a.slug, a.name, a.organisation_id AS organisation, a.created_at FROM applications a'
const IN_SCOPE = 'a.deleted_at IS NULL AND ($1::uuid IS NULL OR a.organisation_id = $1)'

const unknown = (id: string) => new CofferError('NOT_FOUND', `there is no application ${id}`)

export async function getApplication(db: Db, id: string, scope: Scope): Promise<ApplicationView> {
  const [row] = isUuid(id)
    ? await db.query<ApplicationView>(`${VIEW} WHERE ${IN_SCOPE} AND a.id = $2`, [scope.organisationId, id])
    : []
  if (!row) throw unknown(id)
  return row
}

export interface ApplicationFilter {
  scope: Scope
  slug?: string | undefined
  page: Page
}

export async function listApplications(
  db: Db,
  { scope, slug, page }: ApplicationFilter,
): Promise<{ rows: ApplicationView[]; count: number }> {
  const where = `${IN_SCOPE} AND ($2::text IS NULL OR a.slug = $2)`
  const values = [scope.organisationId, slug ?? null]
  const rows = await db.query<ApplicationView>(`${VIEW} WHERE ${where} ORDER BY a.slug, a.id LIMIT $3 OFFSET $4`, [
    ...values,
    page.limit,
    page.offset,
  ])
  const [total] = await db.query<{ count: number }>(`SELECT count(*) FROM applications a WHERE ${where}`, values)
  return { rows, count: total?.count ?? 0 }
}

export interface NewApplication {
  organisationId: string
  slug: string
  name: string
  now: Date
}

/** @throws CONFLICT (the slug is taken) */
export async function createApplication(db: Db, input: NewApplication): Promise<ApplicationView> {
  const id = randomUUID()
  await guardSlug(input.slug, () =>
    db.query('INSERT INTO applications (id, organisation_id, slug, name, created_at) VALUES ($1, $2, $3, $4, $5)', [
      id,
      input.organisationId,
      input.slug,
      input.name,
      input.now,
    ]),
  )
  return getApplication(db, id, { organisationId: input.organisationId })
}

export interface ApplicationChanges {
  slug?: string | undefined
  name?: string | undefined
}

/** @throws NOT_FOUND, CONFLICT (the slug is taken) */
export async function updateApplication(
  db: Db,
  id: string,
  scope: Scope,
  changes: ApplicationChanges,
): Promise<ApplicationView> {
  await getApplication(db, id, scope)
  await guardSlug(changes.slug ?? '', () =>
    db.query(
      'UPDATE applications SET slug = coalesce($2, slug), name = coalesce($3, name) WHERE id = $1 AND deleted_at IS NULL',
      [id, changes.slug ?? null, changes.name ?? null],
    ),
  )
  return getApplication(db, id, scope)
}

/** Its environments go out of sight with it, and their schedules stop; its backups stay. @throws NOT_FOUND */
export async function deleteApplication(db: Db, id: string, scope: Scope, now: Date): Promise<void> {
  await getApplication(db, id, scope)
  await db.query('UPDATE applications SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL', [id, now])
}

async function guardSlug(slug: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write()
  } catch (cause) {
    if (violatedConstraint(cause) !== 'applications_slug') throw cause
    throw new CofferError('CONFLICT', `the organisation has an application with the slug ${slug} already`, { cause })
  }
}
