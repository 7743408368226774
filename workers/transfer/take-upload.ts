import { stagedOf } from '../../shared/catalog/uploads.ts'
import { CofferError } from '../../shared/errors.ts'
import { readIdentities } from '../../shared/identities.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import type { Take, TakeContext, WorkerContext } from '../run-processor.ts'
import type { TakenBackup } from '../seal.ts'
import { takeUploadedArchive } from './take-uploaded-archive.ts'
import { takeUploadedDump } from './take-uploaded-dump.ts'
import { unpacked } from './unpack.ts'

/** What was sent, unpacked where the whole of it was compressed. */
export interface Uploaded {
  source: AsyncIterable<Buffer>
  receivedAt: Date
}

const REMEDIES = {
  DUMP_INVALID: 'upload a dump in the custom format: pg_dump --format=custom',
  ARCHIVE_INVALID: 'upload a tar of the folder, plain or gzip: tar -czf media.tar.gz -C <folder> .',
} as const

/** Makes a backup of a staged object: what lies in the store afterwards is what Coffer's own dump or archive would be. */
export const takeUpload =
  ({ catalog, stores }: Pick<WorkerContext, 'catalog' | 'stores'>): Take =>
  async (context) => {
    const { run, config, life } = context
    const staged = await stagedOf(catalog, run.id)
    if (!staged) throw new CofferError('UPLOAD_EXPIRED', `what was sent for upload ${run.id} is not there (any more)`)
    life.report({ expected_bytes: staged.record.plain_size })
    const sent = readArtifact({
      store: stores.open(staged.storeUrl),
      record: staged.record,
      identities: await readIdentities(config.COFFER_AGE_IDENTITY_FILE),
      signal: life.signal,
    })
    const isDatabase = run.serviceInstance.type === 'DATABASE'
    const source = unpacked(sent, isDatabase ? 'DUMP_INVALID' : 'ARCHIVE_INVALID', staged.maxBytes)
    return takeOnce(
      context,
      { source, receivedAt: staged.receivedAt },
      isDatabase ? takeUploadedDump : takeUploadedArchive,
    )
  }

/** The same bytes never parse better the next time. */
async function takeOnce(
  context: TakeContext,
  uploaded: Uploaded,
  take: (context: TakeContext, uploaded: Uploaded) => Promise<TakenBackup>,
): Promise<TakenBackup> {
  try {
    return await take(context, uploaded)
  } catch (error) {
    if (!(error instanceof CofferError) || (error.code !== 'DUMP_INVALID' && error.code !== 'ARCHIVE_INVALID'))
      throw error
    const { code, message, cause } = error
    const remedy = error.hasOwnRemedy ? error.remedy : REMEDIES[code]
    throw new CofferError(code, message, { cause, retry: 'never', remedy })
  }
}
