/** What an extended header says of the next member. */
export interface PaxRecords {
  path?: Buffer
  link?: Buffer
  size?: number
  uid?: number
  gid?: number
  mtimeNs?: bigint
}

type Invalid = (what: string) => Error

/** Parses `<length> <key>=<value>\n` records. Unknown keys are passed over, except those that would change what the content means. */
export function parsePax(body: Buffer, invalid: Invalid): PaxRecords {
  const records: PaxRecords = {}
  for (let offset = 0; offset < body.length;) {
    const space = body.indexOf(0x20, offset)
    const digits = body.toString('latin1', offset, Math.min(space, offset + 8))
    const length = /^[1-9]\d*$/.test(digits) ? Number(digits) : 0
    const record = body.subarray(offset, offset + length)
    const equals = record.indexOf(0x3d)
    if (space === -1 || record.length !== length || record.at(-1) !== 0x0a || equals < space - offset + 2) {
      throw invalid('a record of an extended header is malformed')
    }
    const key = record.toString('latin1', space - offset + 1, equals)
    apply(records, key, record.subarray(equals + 1, -1), invalid)
    offset += length
  }
  return records
}

function apply(records: PaxRecords, key: string, value: Buffer, invalid: Invalid): void {
  if (key === 'path') records.path = name(value, invalid)
  else if (key === 'linkpath') records.link = name(value, invalid)
  else if (key === 'size' || key === 'uid' || key === 'gid') records[key] = count(key, value, invalid)
  else if (key === 'mtime') records.mtimeNs = nanoseconds(value, invalid)
  else if (key.startsWith('GNU.sparse.')) throw invalid('it has sparse members, which Coffer neither writes nor reads')
}

function name(value: Buffer, invalid: Invalid): Buffer {
  if (value.includes(0)) throw invalid('a name in an extended header holds a zero byte')
  return Buffer.from(value)
}

function count(key: string, value: Buffer, invalid: Invalid): number {
  const text = value.toString('latin1')
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
    throw invalid(`${key} is ${JSON.stringify(text.slice(0, 40))}`)
  return number
}

function nanoseconds(value: Buffer, invalid: Invalid): bigint {
  const text = value.toString('latin1')
  // Python writes times within a tenth of a millisecond of 1970 so.
  if (/^-?\d(\.\d{1,20})?e-\d\d$/.test(text)) return BigInt(Math.round(Number(text) * 1e9))
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text)
  if (!match) throw invalid(`mtime is ${JSON.stringify(text.slice(0, 40))}`)
  const [, sign, seconds = '', fraction = ''] = match
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
  return sign === '-' ? -ns : ns
}
