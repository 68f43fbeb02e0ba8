import { StoreError } from '@varve/store'
import { describe, expect, test } from 'vitest'
import { isConnectionLost, postgresError, type Phase } from './postgres-error.ts'

/** As the server's errors look like in the driver. */
function answer(code: string): Error {
  return Object.assign(new Error(`answer ${code}`), { severity: 'ERROR', code })
}

const broken = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
const unsent = new Error('Client has encountered a connection error and is not queryable')

describe('an error of the driver', () => {
  test.for<[string, Error, Phase, string, boolean]>([
    ['refused connection', broken, 'unsent', 'STORE_UNREACHABLE', true],
    [
      'pool that was ended',
      new Error('Cannot use a pool after calling end on the pool'),
      'unsent',
      'STORE_CLOSED',
      false,
    ],
    ['wrong password', answer('28P01'), 'unsent', 'STORE_UNREACHABLE', false],
    ['no such database', answer('3D000'), 'unsent', 'STORE_UNREACHABLE', false],
    ['too many connections', answer('53300'), 'unsent', 'STORE_UNREACHABLE', true],
    ['server starting up', answer('57P03'), 'unsent', 'STORE_UNREACHABLE', true],
    ['broken connection during a read', broken, 'uncommitted', 'STORE_UNREACHABLE', true],
    ['broken connection during a write', broken, 'committing', 'UNKNOWN_OUTCOME', false],
    ['connection that was broken before', unsent, 'committing', 'STORE_UNREACHABLE', true],
    ['shutdown during a write', answer('57P01'), 'committing', 'UNKNOWN_OUTCOME', false],
    ['crash during a write', answer('57P02'), 'committing', 'UNKNOWN_OUTCOME', false],
    ['shutdown before the commit', answer('57P01'), 'uncommitted', 'STORE_UNREACHABLE', true],
    ['end of a session that stood still in a transaction', answer('25P03'), 'uncommitted', 'STORE_UNREACHABLE', true],
    ['end of a session whose transaction took too long', answer('25P04'), 'uncommitted', 'STORE_UNREACHABLE', true],
    ['end of a session whose write took too long', answer('25P04'), 'committing', 'UNKNOWN_OUTCOME', false],
    ['serialization failure', answer('40001'), 'committing', 'STORE_BUSY', true],
    ['deadlock', answer('40P01'), 'committing', 'STORE_BUSY', true],
    ['statement timeout', answer('57014'), 'committing', 'STORE_BUSY', true],
    ['standby', answer('25006'), 'committing', 'STORE_UNREACHABLE', true],
    ['missing right', answer('42501'), 'committing', 'STORE_FAILED', false],
    ['constraint', answer('23505'), 'committing', 'STORE_FAILED', false],
  ])('%s', ([, cause, phase, code, retryable]) => {
    expect(postgresError(cause, phase)).toMatchObject({ code, retryable, cause })
  })

  test('an error of ours stays as it is', () => {
    const error = new StoreError('STORE_CLOSED', 'closed')

    expect(postgresError(error, 'committing')).toBe(error)
  })

  test('without a text its code is told', () => {
    const refused = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' })

    expect(postgresError(refused, 'unsent').message).toContain('ECONNREFUSED')
  })

  test('a connection is given up unless the server said that it goes on', () => {
    const ends = [broken, unsent, ...['57P01', '25P03', '25P04'].map(answer)]
    expect(ends.map(isConnectionLost)).toEqual(ends.map(() => true))
    expect([answer('40P01'), answer('23505')].map(isConnectionLost)).toEqual([false, false])
  })
})
