import { z } from 'zod'
import { getBackup } from '../../shared/catalog/backups.ts'
import { getStore } from '../../shared/catalog/stores.ts'
import { acceptManifests } from '../../shared/rebuild/accept-manifests.ts'
import { rebuildFrom } from '../../shared/rebuild/rebuild-store.ts'
import { requireWholeInstallation } from '../auth.ts'
import { uuid } from '../fields.ts'
import type { Producer } from '../producer.ts'
import { parseBody } from '../requests.ts'
import type { Route } from '../routes.ts'

const Rebuild = z.strictObject({ store: uuid })
const Nothing = z.strictObject({})

/** The catalog, put together again from what lies in a store. Stores are shared by all organisations. */
export function catalogRoutes(producer: Producer): Route[] {
  const { catalog, ringer, openStore } = producer
  return [
    {
      // Answers when all manifests have been looked at.
      method: 'POST',
      path: '/apps/v3/catalog/rebuild/',
      role: 'admin',
      isLong: true,
      async handle(call) {
        requireWholeInstallation(call.actor, 'rebuilding the catalog')
        const { store } = parseBody(Rebuild, call)
        const { uuid: id, is_default: isDefault } = await getStore(catalog, store)
        const report = await rebuildFrom(producer, await openStore(id), { id, isDefault })
        ringer.nudge()
        return { status: 200, body: { store: id, ...report } }
      },
    },
    {
      method: 'POST',
      path: '/apps/v3/backups/:uuid/accept/',
      role: 'admin',
      isLong: true,
      async handle(call) {
        parseBody(Nothing, call)
        const { uuid: id } = await getBackup(catalog, call.params['uuid'] ?? '', call.actor.scope)
        requireWholeInstallation(call.actor, 'accepting a backup without a signature')
        await acceptManifests(producer, id, call.actor.scope)
        ringer.nudge()
        return { status: 200, body: await getBackup(catalog, id, call.actor.scope) }
      },
    },
  ]
}
