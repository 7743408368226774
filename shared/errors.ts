/**
 * Every way Coffer can fail, by a stable code.
 *
 * `retry` is the failure class of a run: `never` ends it at once, `backoff` lets the catalog schedule another attempt.
 * `status` is the HTTP status that the producer answers with. `remedy` is what the reader should do next; it is shown
 * beside the message everywhere and listed in `docs/errors.md` (a test compares the two).
 */
export const FAILURES = {
  CONFIG_INVALID: { retry: 'never', status: 500, remedy: 'correct the named variables and start again' },
  REQUEST_INVALID: { retry: 'never', status: 422, remedy: 'correct the named fields and send the request again' },
  REQUEST_MALFORMED: { retry: 'never', status: 400, remedy: 'send a well-formed JSON object' },
  REQUEST_TOO_LARGE: { retry: 'never', status: 413, remedy: 'send a smaller request body' },
  MEDIA_TYPE_UNSUPPORTED: { retry: 'never', status: 415, remedy: 'send the body with content-type application/json' },
  UNAUTHENTICATED: {
    retry: 'never',
    status: 401,
    remedy: 'send a valid token in the header "Authorization: Token <token>"',
  },
  FORBIDDEN: { retry: 'never', status: 403, remedy: 'use a token whose role allows this' },
  NOT_FOUND: { retry: 'never', status: 404, remedy: 'check the id; list the resource to see what exists' },
  METHOD_NOT_ALLOWED: { retry: 'never', status: 405, remedy: 'use one of the methods in the Allow header' },
  CONFLICT: { retry: 'never', status: 409, remedy: 'read the current state of the resource, then decide again' },
  HELD: { retry: 'never', status: 409, remedy: 'release the hold first, if you may' },
  GUARD_REFUSED: { retry: 'never', status: 409, remedy: 'take another good backup first; or force it, with a reason' },
  CONFIRMATION_REQUIRED: {
    retry: 'never',
    status: 409,
    remedy: 'look at what would be deleted; send the request again with the digest to confirm it',
  },
  PRUNE_INCOMPLETE: {
    retry: 'backoff',
    status: 500,
    remedy: 'none needed: the next prune goes on; if it lasts, look at the alerts and the store',
  },
  LINK_EXPIRED: { retry: 'never', status: 410, remedy: 'create a new download or upload and use its link' },
  UPLOAD_EXPIRED: { retry: 'never', status: 410, remedy: 'ask for a new upload, and finish it before it expires' },
  RANGE_NOT_SATISFIABLE: {
    retry: 'never',
    status: 416,
    remedy: 'ask for a range within the size in the Content-Range header',
  },
  IDEMPOTENCY_KEY_REUSED: { retry: 'never', status: 422, remedy: 'use a new Idempotency-Key for another request' },
  IDEMPOTENCY_KEY_BUSY: { retry: 'backoff', status: 409, remedy: 'send the same request again in a moment' },
  REQUEST_TIMEOUT: { retry: 'backoff', status: 408, remedy: 'send the whole request without long pauses' },
  HEADERS_TOO_LARGE: { retry: 'never', status: 431, remedy: 'send shorter headers and a shorter address' },
  RATE_LIMITED: {
    retry: 'backoff',
    status: 429,
    remedy: 'wait as long as the Retry-After header says, then send the request again',
  },
  TOO_MANY_ATTEMPTS: {
    retry: 'backoff',
    status: 429,
    remedy: 'wait as long as the Retry-After header says, then use a valid token',
  },
  SERVICE_UNAVAILABLE: { retry: 'backoff', status: 503, remedy: 'try again; if it lasts, look at /readyz' },
  INTERNAL: { retry: 'backoff', status: 500, remedy: 'look for the request id in the log of the process' },
  PLAN_INVALID: {
    retry: 'never',
    status: 409,
    remedy: 'correct the plan; until then nothing is deleted by its retention',
  },

  CONNECTION_INVALID: {
    retry: 'never',
    status: 422,
    remedy:
      'correct the connection: postgres://<user>:<password>@<host>:<port>/<database> with special characters percent-encoded, or file:///<folder>',
  },
  CONNECTION_REFUSED_BY_POLICY: {
    retry: 'never',
    status: 422,
    remedy: 'use a connection that the operator allows (COFFER_MEDIA_ROOTS for folders)',
  },
  CONNECTION_MISSING: {
    retry: 'never',
    status: 409,
    remedy: 'give the connection again: coffer service update <service> --url-stdin',
  },
  EGRESS_REFUSED: {
    retry: 'never',
    status: 422,
    remedy: 'use a public https address, or let the operator name the host or its network in COFFER_EGRESS_ALLOW',
  },
  HOST_UNKNOWN: { retry: 'backoff', status: 422, remedy: 'correct the name of the host, or look at the resolver' },
  SINK_FAILED: {
    retry: 'backoff',
    status: 502,
    remedy: 'check the address of the sink, and that it answers with 2xx within 10 seconds',
  },
  SOURCE_AUTH_FAILED: { retry: 'never', status: 502, remedy: 'correct the user or password of the connection' },
  SOURCE_DATABASE_UNKNOWN: { retry: 'never', status: 502, remedy: 'correct the database name of the connection' },
  SOURCE_PERMISSION_DENIED: {
    retry: 'never',
    status: 502,
    remedy: 'grant the role of the connection the right to read everything (pg_read_all_data)',
  },
  SOURCE_UNREACHABLE: {
    retry: 'backoff',
    status: 502,
    remedy: 'check that the server runs and that host, port and TLS mode of the connection are right',
  },
  SOURCE_LOCKED: { retry: 'backoff', status: 502, remedy: 'end the session that holds the lock, then retry' },
  SERVER_VERSION_UNSUPPORTED: {
    retry: 'never',
    status: 502,
    remedy: "install the client tools of the server's major version (for example postgresql-client-<major>)",
  },
  CLIENT_MISSING: { retry: 'never', status: 500, remedy: 'install the named program on the machine of the worker' },
  DUMP_FAILED: { retry: 'backoff', status: 500, remedy: "read the tail of the dump program's own message" },
  DUMP_INVALID: { retry: 'backoff', status: 500, remedy: 'the dump does not parse; retry, then report it' },
  MEDIA_ROOT_MISSING: {
    retry: 'never',
    status: 502,
    remedy: 'create or mount the folder on the machine of the worker, or correct the connection',
  },
  MEDIA_EMPTIED: {
    retry: 'never',
    status: 502,
    remedy: 'check that the folder is mounted; it had files at the last backup and has none now',
  },
  MEDIA_UNREADABLE: { retry: 'backoff', status: 502, remedy: "let the worker's user read the folder" },
  ARCHIVE_INVALID: { retry: 'backoff', status: 500, remedy: 'the archive does not parse; retry, then report it' },

  STORE_UNREACHABLE: { retry: 'backoff', status: 503, remedy: "check the store's endpoint and the network" },
  STORE_REFUSED: {
    retry: 'never',
    status: 502,
    remedy: 'check bucket, credentials and settings of the store (COFFER_STORAGE_URL)',
  },
  STORE_FULL: { retry: 'backoff', status: 507, remedy: 'free space in the store, then retry' },
  STORE_MISMATCH: {
    retry: 'backoff',
    status: 502,
    remedy: 'retry; if it repeats, examine the store: it does not hold or give back what it was sent',
  },
  STORE_OCCUPIED: {
    retry: 'backoff',
    status: 409,
    remedy: 'none needed: the next attempt writes elsewhere; "coffer catalog rebuild" tells what lies there',
  },
  OBJECT_NOT_FOUND: { retry: 'never', status: 404, remedy: 'run a check of the store against the catalog' },
  OBJECT_TOO_LARGE: {
    retry: 'never',
    status: 500,
    remedy: 'raise maxParts of the store if the server allows more parts',
  },
  ARTIFACT_CORRUPT: { retry: 'never', status: 500, remedy: 'use another backup and keep this one for examination' },
  QUARANTINED: {
    retry: 'never',
    status: 409,
    remedy:
      'use another backup; to examine this one, copy the objects that its artifacts name from the store, or put whole ones there and verify it',
  },
  SIGNATURE_UNKNOWN: {
    retry: 'never',
    status: 500,
    remedy:
      'give the process the COFFER_SECRET_KEY that the backup was made with; refused with that key, too, it was altered',
  },
  CONTENTS_DIFFER: {
    retry: 'never',
    status: 500,
    remedy: 'take another backup; this one is stored as it was sealed, and does not hold what its manifest says',
  },
  DRILL_SERVER_MISSING: {
    retry: 'never',
    status: 500,
    remedy:
      'set COFFER_DRILL_DATABASE_URL to a server for drills, with a role that may create databases; or set drill to null in the plan',
  },
  DRILL_SERVER_FAILED: {
    retry: 'backoff',
    status: 502,
    remedy: 'look at the log, the disk and the memory of the drill server, then drill again',
  },
  KEY_MISSING: { retry: 'never', status: 503, remedy: 'give the process COFFER_AGE_IDENTITY_FILE' },
  KEY_WRONG: { retry: 'never', status: 500, remedy: 'give the identity of one of the recipients in the manifest' },
  KEYS_UNREADABLE: {
    retry: 'never',
    status: 409,
    remedy:
      'give the servers the identity of a recipient that stays; or accept with --yes that they open no new backup',
  },

  TARGET_NOT_EMPTY: { retry: 'never', status: 409, remedy: 'restore into an empty database or an empty folder' },
  TARGET_INCOMPATIBLE: { retry: 'never', status: 409, remedy: 'restore into a server that meets the named findings' },
  RESTORE_UNCONFIRMED: {
    retry: 'never',
    status: 409,
    remedy: 'look whether you mean this target; if so, restore again with its name as confirm',
  },
  SAFETY_BACKUP_FAILED: {
    retry: 'never',
    status: 502,
    remedy: 'make the target readable, or have an admin restore without a safety backup; the target is as it was',
  },
  RESTORE_FAILED: {
    retry: 'never',
    status: 500,
    remedy: 'read the message of the restore program; the target is named',
  },
  RESTORE_MISMATCH: {
    retry: 'never',
    status: 500,
    remedy: 'the restored data differs from what was recorded; do not use the target',
  },

  RUN_FENCED: { retry: 'never', status: 409, remedy: 'none needed: another attempt has taken over' },
  RUN_CANCELLED: { retry: 'never', status: 409, remedy: 'none needed: it was cancelled on request' },
  RUN_STALLED: { retry: 'backoff', status: 500, remedy: 'look at locks and network of the source; no bytes moved' },
  RUN_DEADLINE: { retry: 'backoff', status: 500, remedy: 'raise the deadline or find out why the run is so slow' },
  RUN_ABANDONED: { retry: 'backoff', status: 500, remedy: 'look at the log of the worker that died' },
  RUN_MISSED: {
    retry: 'never',
    status: 409,
    remedy: 'find out why no worker took it up until its next due time: no worker, or too few of them',
  },
  WORKER_STOPPED: { retry: 'backoff', status: 503, remedy: 'none needed: another worker takes it up' },

  USAGE_INVALID: { retry: 'never', status: 400, remedy: 'run the command with --help to see how it is used' },
  PRODUCER_UNREACHABLE: {
    retry: 'backoff',
    status: 503,
    remedy: 'start it with "npm run up", or set COFFER_URL to the address where it listens',
  },
  ANSWER_INVALID: { retry: 'never', status: 502, remedy: 'check that COFFER_URL is the address of a Coffer producer' },
  WAIT_TIMED_OUT: { retry: 'never', status: 504, remedy: 'it goes on without you; ask for its state later' },
  UPLOAD_BROKEN: { retry: 'backoff', status: 502, remedy: 'upload it again' },
  DOWNLOAD_BROKEN: { retry: 'backoff', status: 502, remedy: 'download it again' },
  OUTPUT_EXISTS: { retry: 'never', status: 409, remedy: 'choose another --output, or move the file away' },
  OUTPUT_FAILED: { retry: 'never', status: 500, remedy: 'choose an --output that has space and can be written' },
} as const satisfies Record<string, { retry: 'never' | 'backoff'; status: number; remedy: string }>

export type FailureCode = keyof typeof FAILURES

export interface ErrorDetails {
  /** Values for the reader and for `details` of a problem document. Never a secret. */
  details?: Record<string, unknown>
  cause?: unknown
  /** Where the usual classes don't fit: the same bytes fail again, for example. */
  retry?: 'never'
  remedy?: string
}

/** The one error class. The message says what happened and on what, in lower case, without a full stop. */
export class CofferError extends Error {
  readonly code: FailureCode
  readonly details: Record<string, unknown>
  readonly remedy: string
  /** Its remedy is not the usual one of its code. */
  readonly hasOwnRemedy: boolean
  readonly retry: 'never' | 'backoff'

  constructor(code: FailureCode, message: string, { details = {}, cause, ...own }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'CofferError'
    this.code = code
    this.details = details
    this.remedy = own.remedy ?? FAILURES[code].remedy
    this.hasOwnRemedy = own.remedy !== undefined
    this.retry = own.retry ?? FAILURES[code].retry
  }
}

/** @param what lies in the target now */
export const notEmptyAnyMore = (what: string): CofferError =>
  new CofferError('TARGET_NOT_EMPTY', `${what}, and was empty when the restore began; nothing in it was touched`, {
    remedy: 'restore again: what the target holds is backed up first',
  })

/** Anything thrown, as a CofferError: one of ours as it is, everything else as INTERNAL with its cause kept. */
export function toCofferError(thrown: unknown): CofferError {
  if (thrown instanceof CofferError) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new CofferError('INTERNAL', message, { cause: thrown })
}
