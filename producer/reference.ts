import { Router } from 'express'
import { renderReference } from './dashboard/reference-page.ts'
import { openApi } from './openapi.ts'
import { refuseMethod, type Route } from './routes.ts'

/** The description of the API, for programs and for people. It says nothing that is not in the source, so it takes no token. */
export function referenceRouter(routes: readonly Route[]): Router {
  const document = openApi(routes)
  const page = renderReference(document)
  const router = Router()
  router
    .route('/openapi.json')
    .get((_request, response) => void response.json(document))
    .all(refuseMethod(['GET']))
  router
    .route('/reference')
    .get((_request, response) => void response.send(page))
    .all(refuseMethod(['GET']))
  return router
}
