import { z } from 'zod'

/** What the producer answers, by name: the schemas that its description in OpenAPI refers to. */
export const REPLIES = z.registry<{ id: string }>()

/** An object that is answered, known to the description by its name. */
export function named<Shape extends z.ZodRawShape>(id: string, shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  const schema = z.strictObject(shape)
  REPLIES.add(schema, { id })
  return schema
}

export const id = z.guid()
/** JSON has it as text. */
export const time = z.date()
/** A time that the catalog keeps inside JSON. */
export const timeText = z.string()
/** A number of bytes, or of things. */
export const count = z.number()
export const link = z.string()
export const facts = z.record(z.string(), z.unknown())
