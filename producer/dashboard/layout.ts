import type { Actor } from '../auth.ts'
import { html, type Html } from './html.ts'

export interface Page {
  title: string
  actor: Actor | null
  /** Reload after so many seconds; null: stay. */
  refreshSeconds: number | null
  body: Html
}

export function renderPage({ title, actor, refreshSeconds, body }: Page): string {
  const { markup } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refreshSeconds === null ? null : html`<meta http-equiv="refresh" content="${refreshSeconds}" />`}
        <link rel="icon" href="data:," />
        <title>${title} · Coffer</title>
        <link rel="stylesheet" href="/assets/coffer.css" />
      </head>
      <body>
        <header>
          <a class="brand" href="/">Coffer</a>
          ${actor === null ? null : navigation(actor)}
        </header>
        <main>${body}</main>
      </body>
    </html>`
  return markup
}

const navigation = ({ name, role, scope }: Actor) => html`
  <nav>
    ${scope.organisationId === null ? html`<a href="/queues">Queues</a>` : null}
    <span class="quiet">${name} (${role})</span>
    <form method="post" action="/logout"><button>Log out</button></form>
  </nav>
`
