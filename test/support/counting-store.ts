import { FileStore } from '../../shared/storage/file-store.ts'

/** A store in a folder that counts what leaves it. */
export function countingStore(folder: string) {
  const store = new FileStore(folder)
  const count = { bytes: 0, ranges: [] as { key: string; start: number | undefined; end: number | undefined }[] }
  const read = store.read.bind(store)
  store.read = async (key, options) => {
    const object = await read(key, options)
    count.ranges.push({ key, start: options?.start, end: options?.end })
    object.on('data', (chunk: Buffer) => (count.bytes += chunk.length))
    object.pause()
    return object
  }
  return { store, count }
}
