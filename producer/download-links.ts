import type { DownloadItem } from '../shared/catalog/downloads.ts'
import type { ArtifactKind } from '../shared/domain/artifact.ts'
import type { Secrets } from '../shared/secrets.ts'

export const DOWNLOAD_FORMS = ['plain', 'stored'] as const
export type DownloadForm = (typeof DOWNLOAD_FORMS)[number]

const EXTENSIONS: Record<ArtifactKind, string> = { dump: 'dump', archive: 'tar', 'file-list': 'ndjson' }
const STORED_SUFFIXES = { zstd: '.zst', age: '.age' }

const signedText = (id: string, form: DownloadForm, expires: string) => `download ${id} ${form} ${expires}`

/** An address that gives the artifact to whoever has it, until the download expires. */
export function downloadLink(secrets: Secrets, origin: string, item: DownloadItem, form: DownloadForm): string {
  const expires = String(Math.floor(item.expires_at.getTime() / 1000))
  const signature = secrets.mac('link', signedText(item.uuid, form, expires))
  return `${origin}/apps/v3/downloads/${item.uuid}/${form}?expires=${expires}&signature=${signature}`
}

export interface LinkParts {
  id: string
  form: DownloadForm
  expires: string
  signature: string
}

export const isGenuine = (secrets: Secrets, { id, form, expires, signature }: LinkParts): boolean =>
  secrets.checkMac('link', signedText(id, form, expires), signature)

/** `shop-live-DEFAULT-20300131T120000Z.tar`, of slugs and digits only; as it is stored: with `.zst.age`. */
export function fileName(item: DownloadItem, form: DownloadForm): string {
  const time = item.backup_created_at.toISOString().replace(/[-:]|\.\d+/g, '')
  const plain = `${item.application}-${item.environment}-${item.prefix}-${time}.${EXTENSIONS[item.record.kind]}`
  return form === 'plain' ? plain : plain + item.record.encodings.map((encoding) => STORED_SUFFIXES[encoding]).join('')
}
