import type { Store } from './store.ts'

/** The text of a small object; null when it is not there, or has more than `maxBytes`. */
export async function readText(store: Store, key: string, maxBytes = Infinity): Promise<string | null> {
  const object = await store.head(key)
  if (!object || object.size > maxBytes) return null
  const chunks: Buffer[] = []
  for await (const chunk of await store.read(key)) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

/** Writes a small object. */
export async function writeText(store: Store, key: string, text: string, signal?: AbortSignal): Promise<void> {
  const body = (async function* () {
    await Promise.resolve()
    yield Buffer.from(text)
  })()
  await store.write(key, body, {
    expectedSize: Buffer.byteLength(text),
    // Small and short-lived: the infrequent-access classes bill 128 KiB and 30 days at least.
    storageClass: 'STANDARD',
    contentType: 'application/json',
    ...(signal === undefined ? {} : { signal }),
  })
}
