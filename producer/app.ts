import express, { type Express, type Router } from 'express'
import helmet, { type HelmetOptions } from 'helmet'
import { applicationRoutes } from './api/applications.ts'
import { backupDownloadRoutes } from './api/backup-downloads.ts'
import { backupKeepingRoutes } from './api/backup-keeping.ts'
import { backupRestoreRoutes } from './api/backup-restores.ts'
import { backupRoutes } from './api/backups.ts'
import { DOWNLOAD_PATH, downloadHandler } from './api/downloads.ts'
import { environmentRoutes } from './api/environments.ts'
import { meRoutes } from './api/me.ts'
import { notificationRoutes } from './api/notifications.ts'
import { planRoutes } from './api/plans.ts'
import { retentionRoutes } from './api/retention.ts'
import { scheduleRoutes } from './api/schedules.ts'
import { serviceInstanceBackupRoutes } from './api/service-instance-backups.ts'
import { serviceInstanceRoutes } from './api/service-instances.ts'
import { statusRoutes } from './api/status.ts'
import { storeRoutes } from './api/stores.ts'
import { authenticate } from './auth.ts'
import { pagesRouter } from './dashboard/pages.ts'
import { errorHandler, identifyRequest, refuseUnknownPath } from './error-handler.ts'
import { createFailedLogins, type FailedLogins } from './failed-logins.ts'
import { healthz, readyz } from './health.ts'
import type { Producer } from './producer.ts'
import { logRequest } from './request-log.ts'
import { requireJson } from './requests.ts'
import { mountRoutes, refuseMethod, type Route } from './routes.ts'

const MAX_BODY = '100kb'

/** Every route that takes a token: what the API is made of, and what its tests go through. */
export const apiRoutes = (producer: Producer): Route[] => [
  ...meRoutes(),
  ...applicationRoutes(producer),
  ...environmentRoutes(producer),
  ...serviceInstanceRoutes(producer),
  ...storeRoutes(producer),
  ...planRoutes(producer),
  ...scheduleRoutes(producer),
  ...retentionRoutes(producer),
  ...backupRoutes(producer),
  ...backupKeepingRoutes(producer),
  ...serviceInstanceBackupRoutes(producer),
  ...backupDownloadRoutes(producer),
  ...backupRestoreRoutes(producer),
  ...statusRoutes(producer),
  ...notificationRoutes(producer),
]

export function createApp(producer: Producer): Express {
  const failedLogins = createFailedLogins(producer.clock)
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  // A proxy on this machine may say who the client is and how it came; nobody else may.
  app.set('trust proxy', 'loopback')
  app.use(identifyRequest, logRequest(producer.log), helmet(SECURE_HEADERS))
  app
    .route('/healthz')
    .get(healthz)
    .all(refuseMethod(['GET']))
  app
    .route('/readyz')
    .get(readyz(producer))
    .all(refuseMethod(['GET']))
  app
    .route(DOWNLOAD_PATH)
    .get(downloadHandler(producer))
    .all(refuseMethod(['GET']))
  app.use(['/apps', '/iam'], guardApi(producer, failedLogins))
  mountRoutes(app, apiRoutes(producer))
  app.use(pagesRouter(producer, failedLogins))
  app.use(refuseUnknownPath, errorHandler(producer.log))
  return app
}

function guardApi(producer: Producer, failedLogins: FailedLogins): Router {
  return express.Router().use(
    authenticate(producer, failedLogins),
    (_request, response, next) => {
      response.set('Cache-Control', 'no-store')
      next()
    },
    requireJson,
    // A body that GET brings is not even parsed; for the others, requireJson has seen to the type.
    express.json({ limit: MAX_BODY, type: ({ method }) => method !== 'GET' && method !== 'HEAD' }),
  )
}

const SECURE_HEADERS: HelmetOptions = {
  contentSecurityPolicy: {
    directives: {
      'style-src': ["'self'", "'unsafe-inline'"],
      'font-src': ["'self'"],
      'frame-ancestors': ["'none'"],
      // The producer may be reached by plain http on loopback; whoever puts TLS in front adds these there.
      'upgrade-insecure-requests': null,
    },
  },
  strictTransportSecurity: false,
  // no-referrer would make browsers send `Origin: null` with our own forms.
  referrerPolicy: { policy: 'same-origin' },
}
