import type {} from '../../../test/postgres/global-setup.ts'
import { sampleEvents } from '@varve/store-contract'
import { expect, inject, test } from 'vitest'
import { postgresStore } from './postgres-store.ts'
import { schemaPool } from './testing/schema-pool.ts'

const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }

let schema = ''
const pool = schemaPool(inject('pgUrl'), (name) => {
  schema = name
})

test.for([
  ['owes', {}],
  ['problem', {}],
  ['owes', { concurrency: 5 }],
] as const)(
  'a claim leases a run whose %s was damaged, says so, and leases the others with it',
  async ([column, limit]) => {
    const store = await postgresStore({ pool }, { schema })
    for (const runId of ['run-1', 'run-2']) {
      const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
      const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
      await store.events.append(runId, sampleEvents(runId, 1), { expectedHead: 0, fencingToken: 0, run })
    }
    await pool.query(`update ${schema}.runs set ${column} = '[1,', retry_at = 0 where run_id = 'run-1'`)

    const claims = await store.runs.claim({
      ...{ workflows: [{ name: 'w', versions: ['1'] }], formats: [1], owner, limit: 10, leaseMs: 60_000 },
      queues: [{ name: 'q', ...limit }],
    })

    expect(claims.map(({ runId, damage }) => [runId, damage])).toEqual([
      ['run-1', expect.stringContaining(`${column} of run run-1 is no JSON`)],
      ['run-2', undefined],
    ])
  },
)
