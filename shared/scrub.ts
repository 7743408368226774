const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/]*):[^\s@/]*@/gi
const NAMED_SECRET =
  /\b((?:password|passwd|pwd|pgpassword|secret|token|api[_-]?key|secret_access_key|x-amz-signature|x-amz-security-token)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s&,;"']+)/gi
const TOKEN_HEADER = /\b(authorization["']?\s*[:=]\s*["']?(?:token|bearer|basic)\s+)[^\s"']+/gi
const COFFER_TOKEN = /\bcoffer_[0-9a-f]{64}\b/g
const AGE_SECRET = /AGE-SECRET-KEY-1[0-9A-Z]+/g

/** What every string passes before it leaves the process: passwords in addresses, named secrets, tokens and private keys are struck out. */
export function scrub(text: string): string {
  return text
    .replace(URL_PASSWORD, '$1:[redacted]@')
    .replace(TOKEN_HEADER, '$1[redacted]')
    .replace(NAMED_SECRET, '$1[redacted]')
    .replace(COFFER_TOKEN, '[redacted]')
    .replace(AGE_SECRET, '[redacted]')
}

/** Strikes out secrets in every string of a JSON-like value. */
export function scrubDeep(value: unknown): unknown {
  if (typeof value === 'string') return scrub(value)
  if (Array.isArray(value)) return value.map(scrubDeep)
  // An error's own serializer scrubs it.
  if (value instanceof Date || value instanceof Error) return value
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, scrubDeep(item)]))
  return value
}
