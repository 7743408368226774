import type { ArtifactKind, ArtifactRecord } from '../../shared/domain/artifact.ts'
import type { MediaContents } from '../../shared/domain/manifest.ts'
import { isEverything } from '../../shared/domain/selection.ts'
import { CofferError, type FailureCode } from '../../shared/errors.ts'
import { naming } from '../../shared/media/extract.ts'
import { readFileList } from '../../shared/media/file-list.ts'
import { lookAtTarget, requireStillEmpty } from '../../shared/media/look-at-target.ts'
import { mediaPolicy } from '../../shared/media/policy.ts'
import { forgetTree, recoverTree, restoreTree } from '../../shared/media/restore-tree.ts'
import { resolveMediaTarget } from '../../shared/media/root.ts'
import { SelectedPaths } from '../../shared/media/selected-paths.ts'
import { stageArchive, type ArchiveToStage } from '../../shared/media/stage-archive.ts'
import { stageSelection } from '../../shared/media/stage-selection.ts'
import { readsInRanges, surveyList, unknownPaths, type Survey } from '../../shared/media/survey-list.ts'
import { readArtifact } from '../../shared/pipeline/read-artifact.ts'
import { openRanges, type ArtifactRanges } from '../../shared/pipeline/read-range.ts'
import type { Life } from '../life.ts'
import { readPlain } from './restore-part.ts'
import type { Preflight, Restorer, RestorePart } from './restorer.ts'

type Part = RestorePart<MediaContents>

/** Restores a media archive, or paths of it, over a living folder: staged and proven beside it, then moved in by a journal. */
export const mediaRestorer: Restorer<MediaContents> = {
  preflight,
  recover: async (part) => {
    const root = await targetOf(part)
    return naming(root, () => recoverTree(root, part.id))
  },
  forget: async (part, ended) => {
    const root = await targetOf(part)
    for (const id of ended) await forgetTree(root, id)
  },
  restore,
  confirm: () => Promise.resolve(),
  undo: () => {
    const message = 'the old files are gone; restore the safety backup (PRE_RESTORE) that was taken before this restore'
    return Promise.reject(new CofferError('CONFLICT', message))
  },
}

const targetOf = ({
  connection,
  config,
  mediaBounds,
}: Pick<Part, 'connection' | 'config' | 'mediaBounds'>): Promise<string> =>
  resolveMediaTarget(connection.url, mediaPolicy(config, mediaBounds))

const selectedOf = ({ selection }: Part): SelectedPaths | null =>
  isEverything(selection) ? null : new SelectedPaths(selection.paths)

async function preflight(part: Part): Promise<Preflight> {
  const selected = selectedOf(part)
  const findings = part.selection.paths.length === 0 && selected !== null ? [NO_TABLES] : []
  const target = await orFinding(findings, ['CONNECTION_INVALID', 'CONNECTION_REFUSED_BY_POLICY'], () => targetOf(part))
  const survey = await orFinding(findings, UNREADABLE, () => surveyOf(part, selected))
  if (survey) findings.push(...unknownPaths(survey))
  const paths = selected === null ? null : selected.paths.filter((path) => !survey?.unknown.has(path))
  const neededBytes = survey?.bytes ?? part.contents.bytes
  const look = target === null ? null : await naming(target, () => lookAtTarget(target, { neededBytes, paths }))
  return {
    isEmpty: look?.isEmpty ?? false,
    keepsOldState: false,
    method: methodOf(part, selected, survey),
    findings: [...findings, ...(look?.findings ?? [])],
    leftOut: survey?.leftOut ?? [],
  }
}

const NO_TABLES = 'a media backup has neither schemas nor tables: select paths, or everything'
const UNREADABLE: FailureCode[] = ['ARTIFACT_CORRUPT', 'OBJECT_NOT_FOUND', 'KEY_MISSING', 'KEY_WRONG', 'CONFIG_INVALID']

async function orFinding<T>(findings: string[], codes: FailureCode[], look: () => Promise<T>): Promise<T | null> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof CofferError) || !codes.includes(error.code)) throw error
    findings.push(error.message)
    return null
  }
}

/** Reads the whole list, which also shows that the key is right. */
async function surveyOf(part: Part, selected: SelectedPaths | null): Promise<Survey> {
  const archive = recordOf(part, 'archive')
  const info = await part.store.head(archive.key)
  if (info === null) throw new CofferError('OBJECT_NOT_FOUND', `there is no object ${archive.key} in the store`)
  if (info.size !== archive.stored_size) {
    const message = `${archive.key} has ${info.size} stored bytes, recorded were ${archive.stored_size}`
    throw new CofferError('ARTIFACT_CORRUPT', message)
  }
  return surveyList(readFileList(listOf(part)), selected, archive.key)
}

function methodOf(part: Part, selected: SelectedPaths | null, survey: Survey | null): string {
  if (selected === null)
    return 'all files are staged and compared with the list, then moved in; what is not in the backup goes'
  const { plain_size: size } = recordOf(part, 'archive')
  const how =
    survey && readsInRanges(survey, size) ? 'fetched by ranged reads' : 'picked while the archive is read once'
  return `${selected.paths.length} path(s) are ${how}, staged and compared with the list, then moved in; nothing else is touched`
}

async function restore(part: Part, { isEmpty }: Preflight): Promise<Record<string, unknown>> {
  const { life, id, contents } = part
  const root = await targetOf(part)
  const selected = selectedOf(part)
  if (selected?.paths.length === 0) throw new CofferError('REQUEST_INVALID', NO_TABLES)
  const common = {
    expected: contents,
    signal: life.signal,
    onProgress: ({ files }) => life.report({ files }),
  } satisfies Partial<ArchiveToStage>
  const { report, leftovers } = await naming(root, () =>
    restoreTree({
      root,
      id,
      paths: selected?.paths ?? null,
      neededBytes: selected === null ? contents.bytes : 0,
      signal: life.signal,
      // Nothing was backed up, since there was nothing: what has come since stays.
      ...(isEmpty && { beforeCommit: () => requireStillEmpty(root) }),
      stage: async (staging) => {
        const staged = await (selected === null
          ? stageArchive(staging, { ...common, source: readPlain(part, 'archive') })
          : stageSelection(staging, { ...common, selected, list: listOf(part), archive: archiveOf(part) }))
        life.allMoved()
        return staged
      },
    }),
  )
  return { ...report, warnings: [...report.warnings, ...leftovers] }
}

function archiveOf(part: Part) {
  const { store, identities, life } = part
  const record = recordOf(part, 'archive')
  return {
    key: record.key,
    plainSize: record.plain_size,
    read: () => readPlain(part, 'archive'),
    openRanges: async (bytes: number) => {
      life.report({ expected_bytes: bytes })
      return counted(await openRanges({ store, record, identities, signal: life.signal }), life)
    },
  }
}

function counted(ranges: ArtifactRanges, life: Life): ArtifactRanges {
  let bytes = 0
  return {
    async *read(start, length) {
      for await (const chunk of ranges.read(start, length)) {
        bytes += chunk.length
        life.report({ plain_bytes: bytes })
        yield chunk
      }
    },
  }
}

async function* listOf(part: Part): AsyncGenerator<Buffer, void, undefined> {
  const { store, identities, life } = part
  for await (const chunk of readArtifact({
    store,
    record: recordOf(part, 'file-list'),
    identities,
    signal: life.signal,
  })) {
    life.report({})
    yield chunk
  }
}

function recordOf({ artifacts }: Part, kind: ArtifactKind): ArtifactRecord {
  const record = artifacts.find((artifact) => artifact.kind === kind)
  if (!record) throw new CofferError('ARTIFACT_CORRUPT', `the backup has no ${kind}`)
  return record
}
