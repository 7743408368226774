import { expect } from 'vitest'
import type { Answer } from '../support/producer.ts'

/** The answer is a problem document of this status and code, and shows nothing of the code's inside. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8')
  expect(answer.body).toMatchObject({
    type: `urn:coffer:error:${code}`,
    status,
    code,
    title: expect.any(String) as string,
  })
  expect(answer.body.request_id).toBe(answer.headers.get('x-request-id'))
  expect(answer.body.remedy).not.toBe('')
  expect(answer.status).toBe(status)
  expect(answer.text).not.toMatch(/node_modules|\.ts:|at \w+ \(/)
}
