import type { FailureCode } from '../shared/errors.ts'
import { keepsAnswer, type Route } from './routes.ts'

const ALWAYS = [
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'RATE_LIMITED',
  'TOO_MANY_ATTEMPTS',
  'SERVICE_UNAVAILABLE',
  'INTERNAL',
] as const
const WITH_BODY = [
  'REQUEST_INVALID',
  'REQUEST_MALFORMED',
  'REQUEST_TOO_LARGE',
  'REQUEST_TIMEOUT',
  'MEDIA_TYPE_UNSUPPORTED',
] as const
const KEPT = ['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_BUSY'] as const

/** Every code that a route may refuse with: those of its kind, and its own. */
export function codesOf(route: Route): FailureCode[] {
  const codes: FailureCode[] = [
    ...ALWAYS,
    ...(route.method === 'GET' ? [] : WITH_BODY),
    ...(route.query ? ['REQUEST_INVALID' as const] : []),
    ...(route.path.includes(':') ? (['NOT_FOUND', 'REQUEST_MALFORMED'] as const) : []),
    ...(keepsAnswer(route) ? KEPT : []),
    ...(route.codes ?? []),
  ]
  return [...new Set(codes)]
}
