type Value = string | number | boolean | Node | Node[] | undefined
export interface Node {
  [name: string]: Value
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }

/** One element; an array becomes the element repeated, undefined none. */
export function element(name: string, value: Value): string {
  if (value === undefined) return ''
  if (Array.isArray(value)) return value.map((each) => element(name, each)).join('')
  if (typeof value !== 'object') return `<${name}>${escape(String(value))}</${name}>`
  const inner = Object.entries(value).map(([child, of]) => element(child, of))
  return `<${name}>${inner.join('')}</${name}>`
}

export const xmlDocument = (name: string, value: Node) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n${element(name, value)}`

const escape = (text: string) => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character)

const unescape = (text: string) =>
  Object.entries(ENTITIES).reduceRight((result, [plain, entity]) => result.replaceAll(entity, plain), text)

/** The texts of `<Part>` elements in a CompleteMultipartUpload body, which is all the XML that clients send here. */
export function readParts(xml: string): { partNumber: number; etag: string; crc32: string | undefined }[] {
  return [...xml.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => {
    const text = (name: string) => new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(part)?.[1]
    return {
      partNumber: Number(text('PartNumber')),
      etag: unescape(text('ETag') ?? '').replaceAll('"', ''),
      crc32: text('ChecksumCRC32'),
    }
  })
}
