import type { z } from 'zod'
import { OUTCOMES, SERVICE_TYPES, TRIGGERS } from '../shared/domain/states.ts'
import { filterOf, filterText, filterTime } from './fields.ts'

/** The filters that lists of backups and of service-instance backups share. */
export const backupFilters = {
  success: filterOf(OUTCOMES).optional(),
  trigger: filterOf(TRIGGERS).optional(),
  created_after: filterTime.optional(),
  created_before: filterTime.optional(),
  label: filterText.optional(),
  service_type: filterOf(SERVICE_TYPES).optional(),
}

type Given = z.infer<z.ZodObject<typeof backupFilters>>

/** The same as the catalog takes them. */
export const backupFilter = (given: Given) => ({
  success: given.success,
  trigger: given.trigger,
  createdAfter: given.created_after,
  createdBefore: given.created_before,
  label: given.label,
  serviceType: given.service_type,
})
