import express, { type Express, type Router } from 'express'
import helmet, { type HelmetOptions } from 'helmet'
import { auditRoutes } from './api/audit.ts'
import { applicationRoutes } from './api/applications.ts'
import { backupDownloadRoutes } from './api/backup-downloads.ts'
import { backupKeepingRoutes } from './api/backup-keeping.ts'
import { backupRestoreRoutes } from './api/backup-restores.ts'
import { backupUploadRoutes } from './api/backup-uploads.ts'
import { backupRoutes } from './api/backups.ts'
import { catalogRoutes } from './api/catalog.ts'
import { DOWNLOAD_PATH, downloadHandler } from './api/downloads.ts'
import { environmentRoutes } from './api/environments.ts'
import { keyRoutes } from './api/keys.ts'
import { meRoutes } from './api/me.ts'
import { notificationRoutes } from './api/notifications.ts'
import { latestRoutes } from './api/latest.ts'
import { organisationRoutes } from './api/organisations.ts'
import { planRoutes } from './api/plans.ts'
import { progressRoutes } from './api/progress.ts'
import { retentionRoutes } from './api/retention.ts'
import { scheduleRoutes } from './api/schedules.ts'
import { serviceInstanceBackupRoutes } from './api/service-instance-backups.ts'
import { serviceInstanceRoutes } from './api/service-instances.ts'
import { statusRoutes } from './api/status.ts'
import { storeRoutes } from './api/stores.ts'
import { tokenRoutes } from './api/tokens.ts'
import { UPLOAD_CONTENT_PATH, UPLOAD_FINISH_PATH, uploadContentHandler, uploadFinishHandler } from './api/uploads.ts'
import { verificationRoutes } from './api/verifications.ts'
import { actorOf, authenticate } from './auth.ts'
import { bodyDeadline } from './body-deadline.ts'
import { pagesRouter } from './dashboard/pages.ts'
import { errorHandler, identifyRequest, refuseUnknownPath } from './error-handler.ts'
import { createFailedLogins, type FailedLogins } from './failed-logins.ts'
import { healthz, readyz } from './health.ts'
import { METRICS_PATH, metricsHandler } from './metrics.ts'
import { performer } from './perform.ts'
import type { Producer } from './producer.ts'
import { createRateLimits, type RateLimits } from './rate-limits.ts'
import { logRequest } from './request-log.ts'
import { referenceRouter } from './reference.ts'
import { refuseOddBody, requireJson } from './requests.ts'
import { mountRoutes, refuseMethod, type Route } from './routes.ts'

const MAX_BODY = '100kb'
const BODY_DEADLINE_MS = 60_000

/** Every route that takes a token: what the API is made of, and what its tests go through. */
export const apiRoutes = (producer: Producer): Route[] => [
  ...meRoutes(),
  ...applicationRoutes(producer),
  ...environmentRoutes(producer),
  ...latestRoutes(producer),
  ...serviceInstanceRoutes(producer),
  ...storeRoutes(producer),
  ...catalogRoutes(producer),
  ...keyRoutes(producer),
  ...planRoutes(producer),
  ...scheduleRoutes(producer),
  ...retentionRoutes(producer),
  // Before those of a backup, whose uuid it would be taken for.
  ...backupUploadRoutes(producer),
  ...backupRoutes(producer),
  ...backupKeepingRoutes(producer),
  ...serviceInstanceBackupRoutes(producer),
  ...backupDownloadRoutes(producer),
  ...backupRestoreRoutes(producer),
  ...verificationRoutes(producer),
  ...progressRoutes(producer),
  ...statusRoutes(producer),
  ...organisationRoutes(producer),
  ...tokenRoutes(producer),
  ...auditRoutes(producer),
  ...notificationRoutes(producer),
]

export function createApp(producer: Producer): Express {
  const failedLogins = createFailedLogins(producer.clock)
  const limits = createRateLimits(producer.clock, producer.settings)
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  // A proxy on this machine may say who the client is and how it came; nobody else may.
  app.set('trust proxy', 'loopback')
  app.use(identifyRequest, logRequest(producer.log), helmet(SECURE_HEADERS))
  app.put(UPLOAD_CONTENT_PATH, uploadContentHandler(producer))
  app.use(bodyDeadline(BODY_DEADLINE_MS))
  app.all(UPLOAD_CONTENT_PATH, refuseMethod(['PUT']))
  app
    .route(UPLOAD_FINISH_PATH)
    .post(uploadFinishHandler(producer))
    .all(refuseMethod(['POST']))
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
  app
    .route(METRICS_PATH)
    .get(authenticate(producer, failedLogins), metricsHandler(producer))
    .all(refuseMethod(['GET']))
  app.use(['/apps', '/iam'], guardApi(producer, failedLogins, limits))
  const routes = apiRoutes(producer)
  mountRoutes(app, routes, performer(producer, apiRoutes, limits))
  app.use(referenceRouter(routes))
  app.use(pagesRouter(producer, failedLogins, limits))
  app.use(refuseUnknownPath, errorHandler(producer.log))
  return app
}

function guardApi(producer: Producer, failedLogins: FailedLogins, limits: RateLimits): Router {
  return express.Router().use(
    authenticate(producer, failedLogins),
    (request, response, next) => {
      response.set('Cache-Control', 'no-store')
      limits.countRequest(actorOf(request))
      next()
    },
    requireJson,
    // A body that GET brings is not even parsed; for the others, requireJson has seen to the type.
    express.json({ limit: MAX_BODY, type: ({ method }) => method !== 'GET' && method !== 'HEAD' }),
    refuseOddBody,
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
