import type { EventView } from '../catalog/events.ts'
import { titleOf } from '../domain/notification.ts'
import { scrub } from '../scrub.ts'

/** An event as sinks are told it; one of a test has a kind that is never recorded. */
export type ToldEvent = Omit<EventView, 'kind'> & { kind: string }

/** The body of a webhook of format `coffer`: stable, documented in docs/notifications.md. */
export const cofferBody = (event: ToldEvent): string =>
  JSON.stringify({
    id: event.uuid,
    kind: event.kind,
    at: event.at.toISOString(),
    message: scrub(event.message),
    organisation: event.organisation,
    application: event.application,
    environment: event.environment_slug,
    environment_uuid: event.environment,
    backup: event.backup,
    facts: event.facts,
  })

/** The body of a webhook of format `slack`. Escaped as Slack wants it, so that no text becomes a link or calls a channel. */
export const slackBody = (event: ToldEvent): string => {
  const text = `*${oneLine(titleOf(event.kind))}* · ${scrub(event.message)}`
  return JSON.stringify({ text: text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;') })
}

export interface Mail {
  subject: string
  text: string
}

export function mailOf(event: ToldEvent): Mail {
  const place = event.application === null ? '' : `${event.application}/${event.environment_slug ?? ''}: `
  const { notes } = event.facts
  const lines = [
    scrub(event.message),
    '',
    ...(typeof notes === 'string' && notes !== '' ? [`Notes:  ${scrub(notes)}`] : []),
    ...(event.backup === null ? [] : [`Backup: ${event.backup}`]),
    `When:   ${event.at.toISOString()}`,
    `Event:  ${event.uuid} (${event.kind})`,
  ]
  return { subject: oneLine(`[Coffer] ${place}${titleOf(event.kind)}`).slice(0, 200), text: `${lines.join('\n')}\n` }
}

/** Without controls and line separators: what goes into a header must not begin another. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
