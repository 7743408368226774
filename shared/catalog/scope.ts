/** Which tenant asks. null: every organisation (a token of the whole installation). */
export interface Scope {
  organisationId: string | null
}

export interface Page {
  limit: number
  offset: number
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether the text can be an id at all; PostgreSQL would answer anything else with an error. */
export const isUuid = (text: string): boolean => UUID.test(text)
