import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { parse } from '../workflow/schema.ts'
import { secretSchema } from './secret-schema.ts'
import { secret, secretRef } from './secret.ts'

const schema = z.object({ user: z.string(), token: secretSchema(z.string().min(8)) })

function parsed(value: unknown): unknown {
  return parse(schema, value, 'input', 'INVALID_INPUT')
}

describe('the schema of a secret', () => {
  test('lets a marked value through, as it is, that its own schema accepts', () => {
    const token = secret('long enough')

    expect(parsed({ user: 'ada', token })).toEqual({ user: 'ada', token })
    expect((parsed({ user: 'ada', token }) as { token: unknown }).token).toBe(token)
  })

  test('lets through what stands for a secret inside of a run', () => {
    const reference = { $secret: 's-1', commitment: 'c' }

    expect(parsed({ user: 'ada', token: reference })).toEqual({ user: 'ada', token: reference })
    expect(parsed({ user: 'ada', token: secretRef('n') })).toEqual({ user: 'ada', token: { $secretRef: 'n' } })
  })

  test('refuses a value that is not marked, with the path and what to do', () => {
    for (const token of ['long enough', null, undefined, {}]) {
      expect(() => parsed({ user: 'ada', token })).toThrow(
        /^INVALID_INPUT: input\.token: must be marked .* secret\(value\)$/,
      )
    }
    expect(() => parsed({ user: 'ada' })).toThrow(/input\.token: must be marked/)
  })

  test('refuses a marked value that its own schema refuses, with the reason', () => {
    expect(() => parsed({ user: 'ada', token: secret('short') })).toThrow(/input\.token: .*8 characters/)
    expect(() => parsed({ user: 'ada', token: secret(1) })).toThrow(/input\.token: .*expected string/)
  })

  test('refuses a marked value that is no JSON, also a cyclic one', () => {
    const cycle: Record<string, unknown> = {}
    cycle['a'] = cycle

    expect(() => parsed({ user: 'ada', token: secret(new Date(0)) })).toThrow(/input\.token: .*Date/)
    expect(() => parsed({ user: 'ada', token: secret(cycle) })).toThrow(/input\.token: .*nested deeper/)
  })

  test('says nothing of the value, even where its own schema does', () => {
    const talkative = secretSchema(
      z.string().refine(() => false, { error: (issue) => `not good: ${String(issue.input)}` }),
    )

    const parsing = () => parse(talkative, secret('hunter2!'), 'input', 'INVALID_INPUT')

    expect(parsing).toThrow('not good: [secret]')
    expect(parsing).not.toThrow('hunter2!')
  })

  test('is one of zod and of any other library: its own schema may validate, but not later', () => {
    const later = secretSchema(z.string().refine(async () => Promise.resolve(true)))

    const parsing = () => parse(later, secret('hunter2!'), 'input', 'INVALID_INPUT')

    expect(parsing).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))
  })
})
