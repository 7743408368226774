/** Text that is HTML already. Everything else is escaped when it is put into one. */
export interface Html {
  readonly markup: string
}

type Part = Html | string | number | null | readonly Part[]

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escape = (text: string) => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')

export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { markup: texts.map((text, index) => text + render(parts[index] ?? null)).join('') }
}

function render(part: Part): string {
  if (part === null) return ''
  if (typeof part === 'string') return escape(part)
  if (typeof part === 'number') return String(part)
  return 'markup' in part ? part.markup : part.map(render).join('')
}
