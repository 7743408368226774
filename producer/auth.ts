import type { Request, RequestHandler, Response } from 'express'
import { writeAudit, type AuditEntry } from '../shared/catalog/audit.ts'
import type { Catalog } from '../shared/catalog/database.ts'
import { isOwnBackup } from '../shared/catalog/own-backup.ts'
import { ROLES, hashToken, useToken, type Role, type TokenRow } from '../shared/catalog/tokens.ts'
import type { Scope } from '../shared/catalog/scope.ts'
import { CofferError } from '../shared/errors.ts'
import { requestIdOf } from './error-handler.ts'
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

const OWN_BACKUP = "reading a backup of Coffer's own catalog"

/** Coffer's own catalog holds what every organisation has: its backups are an admin's. */
export const mayReadOwn = (actor: Actor): boolean => isAtLeast(actor.role, 'admin')

/** @throws FORBIDDEN */
export async function requireReadable(catalog: Catalog, backupId: string, actor: Actor): Promise<void> {
  if (!mayReadOwn(actor) && (await isOwnBackup(catalog, backupId, actor.scope))) requireRole(actor, 'admin', OWN_BACKUP)
}

/** For what all organisations share. @throws FORBIDDEN */
export function requireWholeInstallation(actor: Actor, what: string): void {
  if (actor.scope.organisationId === null) return
  throw new CofferError('FORBIDDEN', `${what} concerns all organisations; the token "${actor.name}" is of one`)
}

/** Where a request comes from, for the audit log. */
export interface Origin {
  address: string
  requestId: string
}

export const originOfRequest = (request: Request, response: Response): Origin => ({
  address: request.ip ?? '',
  requestId: requestIdOf(response),
})

/** Lets a request pass that brings `Authorization: Token …` (or Bearer). */
export function authenticate(producer: LoginContext, failedLogins: FailedLogins): RequestHandler {
  return async (request, response, next) => {
    const token = /^(?:token|bearer) +(\S+) *$/i.exec(request.get('authorization') ?? '')?.[1]
    response.set('WWW-Authenticate', 'Token realm="coffer"')
    if (token === undefined)
      throw new CofferError('UNAUTHENTICATED', 'the request has no Authorization header with a token')
    setActor(request, await login(producer, failedLogins, token, originOfRequest(request, response)))
    response.removeHeader('WWW-Authenticate')
    next()
  }
}

type LoginContext = Pick<Producer, 'catalog' | 'log' | 'clock'>

/**
 * The actor of a token. Wrong tokens are counted by address and recorded; tokens that were right once pass whatever others at that
 * address do.
 * @throws UNAUTHENTICATED, TOO_MANY_ATTEMPTS
 */
export async function login(
  { catalog, log, clock }: LoginContext,
  failedLogins: FailedLogins,
  token: string,
  origin: Origin,
): Promise<Actor> {
  const sha256 = hashToken(token)
  failedLogins.check(origin.address, sha256)
  const row = await useToken(catalog, sha256, clock())
  if (row) {
    failedLogins.trust(sha256)
    return actorOfToken(row)
  }
  failedLogins.count(origin.address, sha256)
  log.warn({ address: origin.address }, 'a token was refused')
  await writeAudit(catalog, loginEntry(null, origin, clock()))
  throw new CofferError('UNAUTHENTICATED', 'the token is unknown, has expired or was revoked')
}

/** @param actor null: it was refused */
export const loginEntry = (actor: Actor | null, origin: Origin, at: Date): AuditEntry => ({
  at,
  actor: actor && { tokenId: actor.tokenId, name: actor.name, organisationId: actor.scope.organisationId },
  ...origin,
  action: 'login',
  targets: [],
  status: actor ? 200 : 401,
  code: actor ? null : 'UNAUTHENTICATED',
  changes: {},
})
