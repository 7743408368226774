/** Texts, bodies between dollars, and quoted names: kept as they are. */
const TEXT = String.raw`E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$([A-Za-z_\d]*)\$[\s\S]*?\$\2\$`
const QUOTED_NAME = String.raw`"(?:[^"]|"")*"`
const NAME = String.raw`(?:${QUOTED_NAME}|[a-z_][a-z\d_$]*)`
const SPAN = String.raw`(?: (?:year|month|day|hour|minute|second)(?: to (?:month|hour|minute|second))?)?`
const CAST = String.raw`::${NAME}(?:\.${NAME})?(?: varying| precision)?${SPAN}(?:\(\d+(?:,-?\d+)?\))?(?: with(?:out)? time zone)?(?:\[\])*`

const TOKENS = new RegExp(String.raw`(${TEXT}|${QUOTED_NAME})|${CAST}|[()\s]+`, 'g')

/**
 * What is left of SQL that PostgreSQL has written when its casts, parentheses and white space are taken away. It puts them elsewhere when it
 * writes an expression that it has read once more: `status IN ('a', 'b')` of a varchar, `x BETWEEN 1 AND 2 AND y`.
 */
export const canonicalSql = (sql: string): string => sql.replace(TOKENS, (_token, kept?: string) => kept ?? '')
