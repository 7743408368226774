import { CofferError } from '../errors.ts'

const MIB = 1024 * 1024
/** What S3 demands of every part but the last. */
const SMALLEST_PART = 5 * MIB
const USUAL_PART = 16 * MIB
/** Two parts are held in memory at a time; this bounds them. */
const LARGEST_PART = 64 * MIB
/** Up to this expected size the smallest parts do, which keep many little jobs small in memory. */
const SMALL_OBJECT = 64 * MIB

export interface PartPlan {
  /** Bytes of part `number`, counted from 1; the last may be shorter. */
  sizeOf: (number: number) => number
  /** Bytes that all parts together can hold. */
  capacity: number
}

/**
 * Part sizes for a body of unknown length. The first 15 % of the parts are alike, since some servers (R2) demand like parts, and
 * large enough that an expected size fits in them; then the size doubles with every 2.5 %. 10,000 parts hold over 500 GiB. What is expected
 * is a guess, such as the size of a database whose dump is much smaller: it refuses nothing.
 */
export function planParts(maxParts: number, expectedSize?: number): PartPlan {
  const alike = Math.max(1, Math.floor(maxParts * 0.15))
  const step = Math.max(1, Math.floor(maxParts * 0.025))
  const first = firstPart(alike, expectedSize)
  const sizeOf = (number: number) =>
    number <= alike ? first : Math.min(LARGEST_PART, first * 2 ** Math.ceil((number - alike) / step))

  let capacity = 0
  for (let number = 1; number <= maxParts; number++) capacity += sizeOf(number)
  return { sizeOf, capacity }
}

function firstPart(alike: number, expectedSize = SMALL_OBJECT + 1): number {
  const fitting = Math.ceil((expectedSize * 1.25) / alike / MIB) * MIB
  const least = expectedSize <= SMALL_OBJECT ? SMALLEST_PART : USUAL_PART
  return Math.min(LARGEST_PART, Math.max(least, fitting))
}

export function tooLarge(size: number, maxParts: number, capacity: number): CofferError {
  return new CofferError(
    'OBJECT_TOO_LARGE',
    `${size} bytes do not fit in ${maxParts} parts, which hold ${capacity} bytes`,
    {
      details: { size, maxParts, capacity },
    },
  )
}
