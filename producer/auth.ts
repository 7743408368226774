import type { Request, RequestHandler } from 'express'
import { ROLES, findToken, hashToken, type Role, type TokenRow } from '../shared/catalog/tokens.ts'
import type { Scope } from '../shared/catalog/scope.ts'
import { CofferError } from '../shared/errors.ts'
import type { FailedLogins } from './failed-logins.ts'
import type { Producer } from './producer.ts'

/** Who asks: a token that was found valid for this request. */
export interface Actor {
  tokenId: string
  name: string
  role: Role
  scope: Scope
}

export const actorOfToken = ({ id, name, role, organisation_id }: TokenRow): Actor => ({
  tokenId: id,
  name,
  role,
  scope: { organisationId: organisation_id },
})

const actors = new WeakMap<Request, Actor>()

export const setActor = (request: Request, actor: Actor): void => void actors.set(request, actor)

/** null: the request is nobody's yet. */
export const peekActor = (request: Request): Actor | null => actors.get(request) ?? null

export function actorOf(request: Request): Actor {
  const actor = actors.get(request)
  if (!actor) throw new CofferError('UNAUTHENTICATED', 'the request has no valid token')
  return actor
}

const isAtLeast = (role: Role, needed: Role) => ROLES.indexOf(role) >= ROLES.indexOf(needed)

/** @throws FORBIDDEN */
export function requireRole(actor: Actor, needed: Role, what: string): void {
  if (isAtLeast(actor.role, needed)) return
  throw new CofferError('FORBIDDEN', `${what} needs the role ${needed}; the token "${actor.name}" is a ${actor.role}'s`)
}

/** For what all organisations share. @throws FORBIDDEN */
export function requireWholeInstallation(actor: Actor, what: string): void {
  if (actor.scope.organisationId === null) return
  throw new CofferError('FORBIDDEN', `${what} concerns all organisations; the token "${actor.name}" is of one`)
}

/** Lets a request pass that brings `Authorization: Token …` (or Bearer). */
export function authenticate(producer: Pick<Producer, 'catalog' | 'log'>, failedLogins: FailedLogins): RequestHandler {
  return async (request, response, next) => {
    const token = /^(?:token|bearer) +(\S+) *$/i.exec(request.get('authorization') ?? '')?.[1]
    response.set('WWW-Authenticate', 'Token realm="coffer"')
    if (token === undefined)
      throw new CofferError('UNAUTHENTICATED', 'the request has no Authorization header with a token')
    setActor(request, await login(producer, failedLogins, token, request.ip ?? ''))
    response.removeHeader('WWW-Authenticate')
    next()
  }
}

/**
 * The actor of a token. Wrong tokens are counted by address; tokens that were right once pass whatever others at that address do.
 * @throws UNAUTHENTICATED, TOO_MANY_ATTEMPTS
 */
export async function login(
  { catalog, log }: Pick<Producer, 'catalog' | 'log'>,
  failedLogins: FailedLogins,
  token: string,
  address: string,
): Promise<Actor> {
  const sha256 = hashToken(token)
  failedLogins.check(address, sha256)
  const row = await findToken(catalog, sha256)
  if (row) {
    failedLogins.trust(sha256)
    return actorOfToken(row)
  }
  failedLogins.count(address)
  log.warn({ address }, 'a token was refused')
  throw new CofferError('UNAUTHENTICATED', 'the token is unknown or was revoked')
}
