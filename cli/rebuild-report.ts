import type { StoreRebuild } from './resources/stores.ts'
import { formatCount } from './text.ts'

/** What a rebuild did with one store, and what is left for a person to do. @param environments names by id */
export function rebuildLines(name: string, report: StoreRebuild, environments: ReadonlyMap<string, string>): string[] {
  const { made } = report
  const owners = (['organisation', 'application', 'environment', 'service instance'] as const)
    .map((noun) => [noun, made[`${noun.replace(' ', '_') as 'service_instance'}s`]] as const)
    .filter(([, count]) => count > 0)
    .map(([noun, count]) => formatCount(count, noun))
  return [
    `${name}: ${formatCount(report.manifests, 'manifest')}; service-instance backups: ${report.added} added, ` +
      `${report.adopted} found finished, ${report.known} known already`,
    ...(owners.length > 0 ? [`  made again: ${owners.join(', ')}`] : []),
    ...(made.service_instances > 0
      ? ['  their connections are not in the store: coffer service update <service> --url-stdin']
      : []),
    ...report.lost.flatMap(({ service_instance_backup: id, missing }) => [
      `  lost: ${id}`,
      ...missing.map((key) => `    missing: ${key}`),
    ]),
    ...report.unverified.map(
      ({ backup, key }) => `  not signed by this Coffer: ${key} (coffer catalog accept ${backup})`,
    ),
    ...report.rejected.map(({ key, reason }) => `  not believed: ${key}: ${reason}`),
    ...report.differences.map(({ key, what }) => `  differs: ${key}: ${what}`),
    ...more(report.unverified_count - report.unverified.length, 'not signed'),
    ...more(report.rejected_count - report.rejected.length, 'not believed'),
    ...more(report.differences_count - report.differences.length, 'different'),
    ...report.pruning_stopped.flatMap((id) => pruningLines(environments.get(id) ?? id)),
  ]
}

const more = (count: number, what: string) => (count > 0 ? [`  ${what}: ${formatCount(count, 'more manifest')}`] : [])

const pruningLines = (name: string) => [
  `  ${name}: nothing is pruned until you have looked at it and allow it:`,
  `    coffer retention preview ${name}`,
  `    coffer environment resume-pruning ${name}`,
]
