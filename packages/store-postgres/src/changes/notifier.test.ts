import type {} from '../../../../test/postgres/global-setup.ts'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { observed } from '../testing/observed-pool.ts'
import { Notifier } from './notifier.ts'
import { anything, changesIn, entryOf } from './payload.ts'

test('while the server takes nothing, changes without end take no memory without end', async () => {
  const pool = new pg.Pool({ connectionString: inject('pgUrl'), max: 2 })
  const channel = `test_${randomUUID().replaceAll('-', '')}`
  const listener = await pool.connect()
  const payloads: string[] = []
  listener.on('notification', ({ payload = '' }) => payloads.push(payload))
  await listener.query(`listen ${channel}`)
  const held = Promise.withResolvers<undefined>()
  const underWay = Promise.withResolvers<undefined>()
  const holding = observed(pool, () => async (_, execute) => {
    underWay.resolve(undefined)
    await held.promise
    return execute()
  })
  const notifier = new Notifier(holding, channel, 'me')

  notifier.send(entryOf({ runId: 'first', kind: 'moved', dueInMs: 0 }))
  await underWay.promise
  for (let n = 0; n < 100_000; n++) notifier.send(entryOf({ runId: `run-${n}`, kind: 'moved', dueInMs: 0 }))
  held.resolve(undefined)
  await notifier.close()
  await listener.query('select 1')

  expect(payloads.flatMap((payload) => changesIn(payload, 'you'))).toEqual([
    { runId: 'first', kind: 'moved', dueInMs: 0 },
    ...anything,
  ])
  listener.release(true)
  await pool.end()
})
