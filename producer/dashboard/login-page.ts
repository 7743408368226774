import { html } from './html.ts'
import { renderPage } from './layout.ts'

/** @param problem what was wrong with the last try, or null */
export const renderLogin = (problem: string | null): string =>
  renderPage({
    title: 'Log in',
    actor: null,
    refreshSeconds: null,
    body: html`
      <div class="narrow">
        <h1>Log in</h1>
        ${problem === null ? null : html`<p class="error" role="alert">${problem}</p>`}
        <form method="post" action="/login">
          <label for="token">Token</label>
          <input id="token" name="token" type="password" autocomplete="current-password" required autofocus />
          <button>Log in</button>
        </form>
        <p class="quiet">The first token is the admin's: <code>npm run up</code> prints where it lies.</p>
      </div>
    `,
  })
