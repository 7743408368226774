/** Gathers an option that may be repeated. */
export const collect = (value: string, previous: string[] = []) => [...previous, value]
