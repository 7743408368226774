/** Coffer's clock: what retention, buckets and timestamps are decided by. Leases use the database's own. */
export type Clock = () => Date

export const systemClock: Clock = () => new Date()
