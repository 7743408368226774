import type { Request, RequestHandler, Response } from 'express'
import { isUuid } from '../shared/catalog/scope.ts'
import { useTokenById } from '../shared/catalog/tokens.ts'
import { CofferError } from '../shared/errors.ts'
import { actorOfToken, setActor, type Actor } from './auth.ts'
import type { Producer } from './producer.ts'

const COOKIE = 'coffer_session'
const SESSION_SECONDS = 12 * 3600

const signedText = (tokenId: string, expires: string) => `session ${tokenId} ${expires}`

/** The cookie names the token's row, so revoking the token ends its sessions. */
export function openSession({ secrets, clock }: Producer, request: Request, response: Response, actor: Actor): void {
  const expires = String(Math.floor(clock().getTime() / 1000) + SESSION_SECONDS)
  const value = `${actor.tokenId}.${expires}.${secrets.mac('link', signedText(actor.tokenId, expires))}`
  response.cookie(COOKIE, value, { ...cookieOptions(request), maxAge: SESSION_SECONDS * 1000 })
}

export const closeSession = (request: Request, response: Response): void =>
  void response.clearCookie(COOKIE, cookieOptions(request))

const cookieOptions = (request: Request) =>
  ({ httpOnly: true, sameSite: 'strict', secure: request.secure, path: '/' }) as const

/** Sets the actor of a request that brings a session; the others pass, too, and are nobody's. */
export function readSession({ catalog, secrets, clock }: Producer): RequestHandler {
  return async (request, _response, next) => {
    const [tokenId = '', expires = '', mac = ''] = cookieOf(request).split('.')
    const isValid =
      isUuid(tokenId) &&
      secrets.checkMac('link', signedText(tokenId, expires), mac) &&
      Number(expires) * 1000 > clock().getTime()
    const token = isValid ? await useTokenById(catalog, tokenId, clock()) : null
    if (token) setActor(request, actorOfToken(token))
    next()
  }
}

function cookieOf(request: Request): string {
  const pairs = (request.get('cookie') ?? '').split(/; */)
  return pairs.find((pair) => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1) ?? ''
}

/** Refuses a change that a page of another origin asks for with this browser's cookie. */
export const requireSameOrigin: RequestHandler = (request, _response, next) => {
  const isReading = request.method === 'GET' || request.method === 'HEAD'
  const origin = request.get('origin') ?? ''
  if (!isReading && URL.parse(origin)?.host !== request.host)
    throw new CofferError('FORBIDDEN', `${request.method} ${request.path} must come from a page of this producer`)
  next()
}
