import { CofferError } from '../shared/errors.ts'
import { SERVICE_TYPES } from '../shared/domain/states.ts'
import type { Api } from './api.ts'
import { Organisation, Token } from './resources/access.ts'
import { Application, Environment, Plan, ServiceInstance } from './resources/environments.ts'
import { Sink } from './resources/notifications.ts'
import type { ServiceInstanceBackup } from './resources/backups.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

export const isUuid = (text: string) => UUID.test(text)

export const APPLICATIONS = '/apps/v3/applications/'
export const ENVIRONMENTS = '/apps/v3/environments/'
export const SERVICES = '/apps/v3/service-instances/'
export const PLANS = '/apps/v3/plans/'
export const BACKUPS = '/apps/v3/backups/'
export const ORGANISATIONS = '/apps/v3/organisations/'
export const TOKENS = '/apps/v3/tokens/'
export const SINKS = '/apps/v3/notification-sinks/'

/** By uuid or slug. */
export async function findApplication(api: Api, name: string): Promise<Application> {
  if (isUuid(name)) return api.get(`${APPLICATIONS}${name}/`, Application)
  return one(await api.list(APPLICATIONS, { slug: name }, Application), `application "${name}"`, ({ uuid }) => uuid)
}

/** By uuid or slug. */
export async function findPlan(api: Api, name: string): Promise<Plan> {
  if (isUuid(name)) return api.get(`${PLANS}${name}/`, Plan)
  return one(await api.list(PLANS, { slug: name }, Plan), `plan "${name}"`, ({ uuid }) => uuid)
}

/** By uuid or slug. */
export async function findOrganisation(api: Api, name: string): Promise<Organisation> {
  if (isUuid(name)) return api.get(`${ORGANISATIONS}${name}/`, Organisation)
  const found = await api.list(ORGANISATIONS, { slug: name }, Organisation)
  return one(found, `organisation "${name}"`, ({ uuid }) => uuid)
}

/** By uuid, or by its name where only one has it. */
export async function findToken(api: Api, name: string): Promise<Token> {
  if (isUuid(name)) return api.get(`${TOKENS}${name}/`, Token)
  const found = (await api.list(TOKENS, {}, Token)).filter((token) => token.name === name)
  return one(found, `token "${name}"`, ({ uuid }) => uuid)
}

/** By uuid or name. */
export async function findSink(api: Api, name: string): Promise<Sink> {
  if (isUuid(name)) return api.get(`${SINKS}${name}/`, Sink)
  const found = (await api.list(SINKS, {}, Sink)).filter((sink) => sink.name === name)
  return one(found, `notification sink "${name}"`, ({ uuid }) => uuid)
}

/** By uuid or `app/env`. */
export async function findEnvironment(api: Api, name: string): Promise<Environment> {
  if (isUuid(name)) return api.get(`${ENVIRONMENTS}${name}/`, Environment)
  const { app, env } = parseEnvironmentName(name)
  const { uuid: application } = await findApplication(api, app)
  const found = await api.list(ENVIRONMENTS, { application, slug: env }, Environment)
  return one(found, `environment "${name}"`, ({ uuid }) => uuid)
}

/** `app/env` by the uuid of each environment. */
export async function environmentNames(api: Api, environments: readonly Environment[]): Promise<Map<string, string>> {
  const applications = await api.list(APPLICATIONS, {}, Application)
  const slugs = new Map(applications.map(({ uuid, slug }) => [uuid, slug]))
  return new Map(
    environments.map(({ uuid, slug, application }) => [uuid, `${slugs.get(application) ?? application}/${slug}`]),
  )
}

export function parseEnvironmentName(name: string): { app: string; env: string } {
  const [app, env, ...rest] = name.split('/')
  if (!app || !env || rest.length > 0) {
    throw new CofferError(
      'USAGE_INVALID',
      `"${name}" names no environment: write app/env, such as shop/live, or its uuid`,
    )
  }
  return { app, env }
}

/** What is common to a service instance and its backups. */
interface Prefixed {
  uuid: string
  type: string
  prefix: string
}

/** By uuid or `app/env:PREFIX`, `app/env:TYPE:PREFIX`. */
export async function findService(api: Api, name: string): Promise<ServiceInstance> {
  if (isUuid(name)) return api.get(`${SERVICES}${name}/`, ServiceInstance)
  const { environment, service } = parseTarget(name)
  if (service === null) {
    throw new CofferError(
      'USAGE_INVALID',
      `"${name}" names no service: write app/env:PREFIX, such as shop/live:DEFAULT, or its uuid`,
    )
  }
  const { uuid } = await findEnvironment(api, environment)
  return pickService(await servicesOf(api, uuid), service, environment)
}

export async function servicesOf(api: Api, environment: string): Promise<ServiceInstance[]> {
  return api.list(SERVICES, { environment }, ServiceInstance)
}

/** `shop/live:DATABASE:DEFAULT` → the environment and what follows the first colon. */
export function parseTarget(name: string): { environment: string; service: string | null } {
  const colon = name.indexOf(':')
  return colon < 0
    ? { environment: name, service: null }
    : { environment: name.slice(0, colon), service: name.slice(colon + 1) }
}

/** The one of `services` that is meant by a uuid, `PREFIX` or `TYPE:PREFIX`; `where` is for messages. */
export function pickService<S extends Prefixed>(services: readonly S[], name: string, where: string): S {
  const [first = '', second] = name.split(':')
  const type = second === undefined ? null : first.toUpperCase()
  const prefix = second ?? first
  if (type !== null && !SERVICE_TYPES.some((known) => known === type)) {
    throw new CofferError('USAGE_INVALID', `"${first}" is no service type: write ${SERVICE_TYPES.join(' or ')}`)
  }
  const matches = isUuid(name)
    ? services.filter(({ uuid }) => uuid === name.toLowerCase())
    : services.filter((service) => service.prefix === prefix && (type === null || service.type === type))
  return one(matches, `service "${name}" in ${where}`, (service) => `${service.type}:${service.prefix}`, services)
}

/** The backups of the services that are named; all of them when none is. */
export function pickServiceBackups(all: readonly ServiceInstanceBackup[], names: readonly string[], where: string) {
  if (names.length === 0) return [...all]
  const services = all.map((backup) => ({
    uuid: backup.service_instance,
    type: backup.service_type,
    prefix: backup.prefix,
    backup,
  }))
  return [
    ...new Set(names.map((name) => all.find(({ uuid }) => uuid === name) ?? pickService(services, name, where).backup)),
  ]
}

function one<T>(matches: readonly T[], what: string, tell: (match: T) => string, all: readonly T[] = []): T {
  const [match, second] = matches
  if (match === undefined) {
    const known = all.length > 0 ? `; there are ${all.map(tell).join(', ')}` : ''
    throw new CofferError('NOT_FOUND', `no ${what}${known}`)
  }
  if (second !== undefined) {
    throw new CofferError('USAGE_INVALID', `${what} may mean any of ${matches.map(tell).join(', ')}: write which`)
  }
  return match
}
