/** Where the bytes of an upload lie until they are a backup, relative to the store's own prefix. Each attempt to send them has its own key. */
export const stagedKey = (id: string, sending: string): string => `uploads/${id}/${sending}.zst.age`

export const STAGED_PREFIX = 'uploads/'

const STAGED = /^uploads\/([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})\/[\da-f]+\.zst\.age$/

/** The service-instance backup that a staged object was sent for; null for any other key. */
export const parseStagedKey = (key: string): string | null => STAGED.exec(key)?.[1] ?? null
