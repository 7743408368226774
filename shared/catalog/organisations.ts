import { randomUUID } from 'node:crypto'
import { CofferError } from '../errors.ts'
import { countUpTo } from './counting.ts'
import { violatedConstraint, type Db } from './database.ts'
import { isUuid, type Page, type Scope } from './scope.ts'

export const DEFAULT_SLUG = 'default'

/** An organisation as the API shows it. */
export interface OrganisationView {
  uuid: string
  slug: string
  name: string
  /** The folders that its own admins may register media under; null: all that the operator allows. */
  media_roots: string[] | null
  created_at: Date
}

const VIEW =
  'SELECT id AS uuid, slug, name, media_roots, created_at FROM organisations WHERE ($1::uuid IS NULL OR id = $1)'

/** Makes the organisation `default` if it isn't there. May run twice, also at the same time. */
export async function ensureDefaultOrganisation(db: Db, now: Date): Promise<void> {
  await db.query(
    'INSERT INTO organisations (id, slug, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (slug) DO NOTHING',
    [randomUUID(), DEFAULT_SLUG, 'Default', now],
  )
}

export async function defaultOrganisationId(db: Db): Promise<string> {
  const [row] = await db.query<{ id: string }>('SELECT id FROM organisations WHERE slug = $1', [DEFAULT_SLUG])
  if (!row) throw new CofferError('NOT_FOUND', `there is no organisation ${DEFAULT_SLUG}`)
  return row.id
}

/** @throws NOT_FOUND */
export async function getOrganisation(db: Db, id: string, scope: Scope): Promise<OrganisationView> {
  const [row] = isUuid(id) ? await db.query<OrganisationView>(`${VIEW} AND id = $2`, [scope.organisationId, id]) : []
  if (!row) throw new CofferError('NOT_FOUND', `there is no organisation ${id}`)
  return row
}

export interface OrganisationFilter {
  scope: Scope
  slug?: string | undefined
  page: Page
}

export async function listOrganisations(
  db: Db,
  { scope, slug, page }: OrganisationFilter,
): Promise<{ rows: OrganisationView[]; count: number }> {
  const query = `${VIEW} AND ($2::text IS NULL OR slug = $2)`
  const values = [scope.organisationId, slug ?? null]
  const rows = await db.query<OrganisationView>(`${query} ORDER BY slug LIMIT $3 OFFSET $4`, [
    ...values,
    page.limit,
    page.offset,
  ])
  return { rows, count: await countUpTo(db, query, values, page) }
}

export interface NewOrganisation {
  slug: string
  name: string
  mediaRoots: string[] | null
  now: Date
}

/** @throws CONFLICT (the slug is taken) */
export async function createOrganisation(db: Db, input: NewOrganisation): Promise<OrganisationView> {
  const id = randomUUID()
  await guardSlug(input.slug, () =>
    db.query('INSERT INTO organisations (id, slug, name, media_roots, created_at) VALUES ($1, $2, $3, $4, $5)', [
      id,
      input.slug,
      input.name,
      input.mediaRoots,
      input.now,
    ]),
  )
  return getOrganisation(db, id, { organisationId: null })
}

/** A field that is undefined stays as it is. */
export interface OrganisationChanges {
  slug?: string | undefined
  name?: string | undefined
  mediaRoots?: string[] | null | undefined
}

/** @throws NOT_FOUND, CONFLICT (the slug is taken, or it is that of the default organisation) */
export async function updateOrganisation(
  db: Db,
  id: string,
  { slug, name, mediaRoots }: OrganisationChanges,
): Promise<OrganisationView> {
  const current = await getOrganisation(db, id, { organisationId: null })
  // The next start would make another one, and put new applications there.
  if (current.slug === DEFAULT_SLUG && slug !== undefined && slug !== DEFAULT_SLUG)
    throw new CofferError(
      'CONFLICT',
      `the organisation ${DEFAULT_SLUG} keeps its slug: applications go there by default`,
    )
  await guardSlug(slug ?? '', () =>
    db.query(
      `UPDATE organisations SET slug = coalesce($2, slug), name = coalesce($3, name),
              media_roots = CASE WHEN $4 THEN $5::text[] ELSE media_roots END WHERE id = $1`,
      [id, slug ?? null, name ?? null, mediaRoots !== undefined, mediaRoots ?? null],
    ),
  )
  return getOrganisation(db, id, { organisationId: null })
}

async function guardSlug(slug: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write()
  } catch (cause) {
    if (violatedConstraint(cause) !== 'organisations_slug_key') throw cause
    throw new CofferError('CONFLICT', `there is an organisation with the slug ${slug} already`, { cause })
  }
}
