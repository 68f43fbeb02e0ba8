import type {} from '../../../test/postgres/global-setup.ts'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { Connections } from './connection.ts'

let pool: pg.Pool
let taken = 0
let connections: Connections

beforeEach(() => {
  pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 1 })
  // A test ends a connection.
  pool.on('error', () => undefined)
  taken = 0
  pool.on('acquire', () => taken++)
  connections = new Connections(pool)
})
afterEach(async () => pool.end())

const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a connection that is given back', () => {
  test("is there for what follows in the same turn of the event loop, and is the pool's again afterwards", async () => {
    const first = await connections.take()
    connections.giveBack(first, false)
    const second = await connections.take()
    connections.giveBack(second, false)
    expect([second === first, taken, pool.idleCount]).toEqual([true, 1, 0])

    await turn()

    expect(pool.idleCount).toBe(1)
    connections.giveBack(await connections.take(), false)
    expect(taken).toBe(2)
    await turn()
  })

  test('goes to whoever waits for one of the pool, before us', async () => {
    const order: string[] = []
    const client = await connections.take()
    const others = pool.connect().then((theirs) => {
      order.push('others')
      theirs.release()
    })

    connections.giveBack(client, false)
    const ours = await connections.take()
    order.push('ours')
    connections.giveBack(ours, true)

    await others
    expect(order).toEqual(['others', 'ours'])
  })

  test('is closed when it is lost before anybody has used it again', async () => {
    const client = await connections.take()
    connections.giveBack(client, false)
    ;(client as unknown as Pick<NodeJS.EventEmitter, 'emit'>).emit('error', new Error('terminated'))

    const next = await connections.take()

    expect([next === client, pool.totalCount]).toEqual([false, 1])
    connections.giveBack(next, true)
  })

  test('is closed at once when it is not to be used again', async () => {
    connections.giveBack(await connections.take(), true)

    expect(pool.totalCount).toBe(0)
  })
})
