import type { DownloadItem } from '../shared/catalog/downloads.ts'
import type { ArtifactKind } from '../shared/domain/artifact.ts'
import type { Secrets } from '../shared/secrets.ts'

export const DOWNLOAD_FORMS = ['plain', 'stored'] as const
export type DownloadForm = (typeof DOWNLOAD_FORMS)[number]
/** What a link gives: one artifact in one form, or all of them. */
export type LinkForm = DownloadForm | 'bundle'

const EXTENSIONS: Record<ArtifactKind, string> = { dump: 'dump', archive: 'tar', 'file-list': 'ndjson' }
const STORED_SUFFIXES = { zstd: '.zst', age: '.age' }

const signedText = (id: string, form: LinkForm, expires: string) => `download ${id} ${form} ${expires}`

/** An address that gives the artifact to whoever has it, until the download expires. */
export function downloadLink(secrets: Secrets, origin: string, item: DownloadItem, form: DownloadForm): string {
  const expires = String(Math.floor(item.expires_at.getTime() / 1000))
  const signature = secrets.mac('link', signedText(item.uuid, form, expires))
  return `${origin}/apps/v3/downloads/${item.uuid}/${form}?expires=${expires}&signature=${signature}`
}

/** An address that gives everything of a download as one zip, as long as its links work. */
export function bundleLink(secrets: Secrets, origin: string, id: string, expiresAt: Date): string {
  const expires = String(Math.floor(expiresAt.getTime() / 1000))
  const signature = secrets.mac('link', signedText(id, 'bundle', expires))
  return `${origin}/apps/v3/downloads/${id}/bundle?expires=${expires}&signature=${signature}`
}

/** `shop-live-20300131T120000Z.zip` */
export const bundleName = ({ application, environment, backup_created_at: createdAt }: DownloadItem): string =>
  `${application}-${environment}-${compactTime(createdAt)}.zip`

const compactTime = (time: Date) => time.toISOString().replace(/[-:]|\.\d+/g, '')

export interface LinkParts {
  id: string
  form: LinkForm
  expires: string
  signature: string
}

export const isGenuine = (secrets: Secrets, { id, form, expires, signature }: LinkParts): boolean =>
  secrets.checkMac('link', signedText(id, form, expires), signature)

/** `shop-live-DEFAULT-20300131T120000Z.tar`, of slugs and digits only; as it is stored: with `.zst.age`. */
export function fileName(item: DownloadItem, form: DownloadForm): string {
  const time = compactTime(item.backup_created_at)
  const plain = `${item.application}-${item.environment}-${item.prefix}-${time}.${EXTENSIONS[item.record.kind]}`
  return form === 'plain' ? plain : plain + item.record.encodings.map((encoding) => STORED_SUFFIXES[encoding]).join('')
}
