import type { Secrets } from '../shared/secrets.ts'

/** What a link of an upload is for: to send the bytes, or to say that they are all there. Neither does the other's work. */
export type UploadLink = 'content' | 'finish'

const signedText = (id: string, link: UploadLink) => `upload ${id} ${link}`

/** An address that is a secret of its own; the catalog knows how long it works, and whether it was used. */
export function uploadLink(secrets: Secrets, origin: string, id: string, link: UploadLink): string {
  return `${origin}/apps/v3/uploads/${id}/${link}?signature=${secrets.mac('upload', signedText(id, link))}`
}

export const isGenuineUpload = (secrets: Secrets, id: string, link: UploadLink, signature: string): boolean =>
  secrets.checkMac('upload', signedText(id, link), signature)
