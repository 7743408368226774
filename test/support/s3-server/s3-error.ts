const STATUS: Record<string, number> = {
  AccessDenied: 403,
  InvalidAccessKeyId: 403,
  SignatureDoesNotMatch: 403,
  RequestTimeTooSkewed: 403,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  InvalidRange: 416,
  NotImplemented: 501,
  InternalError: 500,
  SlowDown: 503,
}

/** What the server answers as an `<Error>` document; every code without a status of its own is a 400. */
export class S3Error extends Error {
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status = STATUS[code] ?? 400) {
    super(message)
    this.code = code
    this.status = status
  }
}
