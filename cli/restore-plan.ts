import { CofferError } from '../shared/errors.ts'
import { pickService } from './names.ts'
import type { ServiceInstanceBackup } from './resources/backups.ts'
import type { ServiceInstance } from './resources/environments.ts'

export interface Choice {
  table?: string[]
  schema?: string[]
  path?: string[]
}

export interface PlannedPart {
  service_instance_backup: string
  service_instance: string
  selection?: { tables: string[]; schemas: string[] } | { paths: string[] }
}

/** Of the backups those that the choice is about: with tables or schemas the databases, with paths the storages; without a choice all. */
export function pickByChoice(backups: readonly ServiceInstanceBackup[], choice: Choice): ServiceInstanceBackup[] {
  const types = [...(isOfDatabases(choice) ? ['DATABASE'] : []), ...(isOfStorages(choice) ? ['STORAGE'] : [])]
  if (types.length === 0) return [...backups]
  const missing = types.find((type) => !backups.some((backup) => backup.service_type === type))
  if (missing !== undefined)
    throw new CofferError(
      'USAGE_INVALID',
      `${missing === 'DATABASE' ? '--table and --schema choose from a DATABASE' : '--path chooses from a STORAGE'}, and none is restored`,
    )
  return backups.filter((backup) => types.includes(backup.service_type))
}

const isOfDatabases = ({ table = [], schema = [] }: Choice) => table.length + schema.length > 0
const isOfStorages = ({ path = [] }: Choice) => path.length > 0

/** Each source with the target of its type: of the same prefix, or of the one that was named. */
export function pairUp(
  sources: readonly ServiceInstanceBackup[],
  targets: readonly ServiceInstance[],
  named: string | null,
  where: string,
  choice: Choice = {},
): PlannedPart[] {
  const pairs = sources.map((source) => {
    const name = named === null || !named.includes(':') ? `${source.service_type}:${named ?? source.prefix}` : named
    const target = pickService(targets, name, where)
    if (target.type !== source.service_type) {
      throw new CofferError(
        'USAGE_INVALID',
        `${source.service_type} ${source.prefix} cannot be restored into ${target.type} ${target.prefix}`,
      )
    }
    return { service_instance_backup: source.uuid, service_instance: target.uuid, ...selectionOf(source, choice) }
  })
  const places = pairs.map((pair) => pair.service_instance)
  if (new Set(places).size < places.length) {
    throw new CofferError(
      'USAGE_INVALID',
      `several would be restored into the same place in ${where}: choose one with --service`,
    )
  }
  return pairs
}

function selectionOf({ service_type: type }: ServiceInstanceBackup, choice: Choice): Pick<PlannedPart, 'selection'> {
  if (type === 'DATABASE' && isOfDatabases(choice))
    return { selection: { tables: choice.table ?? [], schemas: choice.schema ?? [] } }
  if (type === 'STORAGE' && isOfStorages(choice)) return { selection: { paths: choice.path ?? [] } }
  return {}
}
