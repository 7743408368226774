import type { RecentBackup } from '../../shared/catalog/recent-backups.ts'
import type { Actor } from '../auth.ts'
import { html, type Html } from './html.ts'
import { renderPage } from './layout.ts'

const REFRESH_SECONDS = 5
const DAY_MS = 86_400_000

export function renderBackups(actor: Actor, backups: readonly RecentBackup[], now: Date): string {
  const isBusy = backups.some((backup) => backup.success === null)
  return renderPage({
    title: 'Backups',
    actor,
    refreshSeconds: isBusy ? REFRESH_SECONDS : null,
    body: html`<h1>Latest backups</h1>
      ${backups.length === 0 ? html`<p class="quiet">There is no backup yet.</p>` : table(backups, now)}`,
  })
}

const table = (backups: readonly RecentBackup[], now: Date) =>
  html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th>Environment</th>
          <th>Result</th>
          <th>Created</th>
          <th>Size</th>
          <th>Notes</th>
          <th>Id</th>
        </tr>
      </thead>
      <tbody>
        ${backups.map((backup) => row(backup, now))}
      </tbody>
    </table>
  </div>`

function row(backup: RecentBackup, now: Date): Html {
  const result = backup.success ?? backup.state
  return html`<tr>
    <td>${backup.application}/${backup.environment}</td>
    <td><span class="${result}">${result}</span> ${progress(backup)}${proof(backup, now)}${problem(backup)}</td>
    <td>
      ${backup.created_at
        .toISOString()
        .replace(/\.\d+Z$/, 'Z')
        .replace('T', ' ')}
    </td>
    <td class="number">${backup.size === null ? '–' : formatBytes(backup.size)}</td>
    <td class="notes">${backup.notes}</td>
    <td><code>${backup.uuid}</code></td>
  </tr>`
}

function progress({ success, plain_bytes: done, expected_bytes: expected }: RecentBackup): Html | null {
  if (success !== null || done === null) return null
  // The expectation is a guess, which says nothing any more once it is exceeded.
  if (expected === null || done >= expected) return html`${formatBytes(done)}`
  return html`<progress max="${expected}" value="${done}"></progress> ${formatBytes(done)}`
}

/** What was found when it was last looked at. */
function proof({ corrupt, verified }: RecentBackup, now: Date): Html | null {
  if (corrupt) return html`<div><span class="FAILURE">corrupt</span></div>`
  if (!verified) return null
  const days = Math.max(0, Math.floor((now.getTime() - Date.parse(verified.at)) / DAY_MS))
  const ago = days === 0 ? 'today' : `${days} day${days === 1 ? '' : 's'} ago`
  return html`<div class="quiet">${verified.level === 'drill' ? 'restore-proven' : 'verified'} ${ago}</div>`
}

const problem = ({ problem }: RecentBackup) => (problem === null ? null : html`<div class="problem">${problem}</div>`)

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1.5 GiB` */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`
}
