import { z } from 'zod'
import { getBackup } from '../../shared/catalog/backups.ts'
import { getStore } from '../../shared/catalog/stores.ts'
import { acceptManifests } from '../../shared/rebuild/accept-manifests.ts'
import { rebuildFrom } from '../../shared/rebuild/rebuild-store.ts'
import { requireWholeInstallation } from '../auth.ts'
import { route } from '../define-route.ts'
import { uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { Backup } from '../replies/backups.ts'
import { Rebuild } from '../replies/stores.ts'
import type { Route } from '../routes.ts'

const FromStore = z.strictObject({ store: uuid })

/** The catalog, put together again from what lies in a store. Stores are shared by all organisations. */
export function catalogRoutes(producer: Producer): Route[] {
  const { catalog, ringer, openStore } = producer
  return [
    route({
      // Answers when all manifests have been looked at.
      method: 'POST',
      path: '/apps/v3/catalog/rebuild/',
      role: 'admin',
      isLong: true,
      concernsAll: 'rebuilding the catalog',
      summary: 'Adds every backup of a store that the catalog lacks.',
      body: FromStore,
      reply: Rebuild,
      codes: ['NOT_FOUND', 'CONFLICT', 'STORE_UNREACHABLE', 'STORE_REFUSED'],
      async handle({ body }) {
        const { uuid: id, is_default: isDefault } = await getStore(catalog, body.store)
        const report = await rebuildFrom(producer, await openStore(id), { id, isDefault })
        ringer.nudge()
        return { store: id, ...report }
      },
    }),
    route({
      method: 'POST',
      path: '/apps/v3/backups/:uuid/accept/',
      role: 'admin',
      isLong: true,
      summary: "Accepts a backup as genuine that was found without this Coffer's signature.",
      reply: Backup,
      codes: ['CONFLICT'],
      async handle({ id: asked, actor }) {
        const { uuid: id } = await getBackup(catalog, asked, actor.scope)
        requireWholeInstallation(actor, 'accepting a backup without a signature')
        await acceptManifests(producer, id, actor.scope)
        ringer.nudge()
        return getBackup(catalog, id, actor.scope)
      },
    }),
  ]
}
