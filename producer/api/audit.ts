import { listAudit } from '../../shared/catalog/audit.ts'
import { list } from '../define-route.ts'
import { filterText, filterTime, filterUuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { AuditLine } from '../replies/access.ts'
import type { Route } from '../routes.ts'

const filters = {
  actor: filterUuid.optional(),
  action: filterText.optional(),
  target: filterUuid.optional(),
  since: filterTime.optional(),
  until: filterTime.optional(),
}

/** Who did what. */
export function auditRoutes({ catalog }: Producer): Route[] {
  return [
    list({
      path: '/apps/v3/audit/',
      role: 'admin',
      summary: 'Lists who did what, newest first.',
      filters,
      of: AuditLine,
      rows: ({ actor: { scope }, query, page }) => listAudit(catalog, { scope, ...query, page }),
    }),
  ]
}
