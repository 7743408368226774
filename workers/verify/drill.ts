import type { Manifest } from '../../shared/domain/manifest.ts'
import { reached } from '../../shared/steps.ts'
import { drillDatabase } from './drill-database.ts'
import { drillMedia } from './drill-media.ts'
import type { PartToVerify } from './part.ts'

/**
 * A real restore, by the restore's own code, into a throw-away database or folder that is removed in any case; what came out is compared with
 * what was recorded. While it is read, all is proven that `checkContents` proves.
 * @throws what checkContents throws; RESTORE_FAILED, RESTORE_MISMATCH, TARGET_INCOMPATIBLE, DRILL_SERVER_MISSING, DRILL_SERVER_FAILED, SOURCE_UNREACHABLE …
 */
export function drill(part: PartToVerify, manifest: Manifest): Promise<Record<string, unknown>> {
  const restored = () => reached('drill-restored', { verification: part.id })
  const { contents } = manifest
  return contents.kind === 'postgresql'
    ? drillDatabase(part, manifest, contents, restored)
    : drillMedia(part, manifest, contents, restored)
}
