// A real process that starts a run on a SQLite file, by the clock of the machine, and keeps its event loop busy in a handler that
// must be called at most once, until the file that is named second is there.
//
// Prints `begun` when the handler was called, `committed <type>` of each event that it has made durable, `posted <type>` of each
// post, `ended <status>`.
import { appendFileSync, existsSync, writeSync } from 'node:fs'
import process from 'node:process'
import { createKernel } from '@varve/kernel'
import { sqliteStore } from '@varve/store-sqlite'
import { interceptStore } from '../wrapped-store.ts'
import { BLOCKED_LEASE_MS, payingOnce } from './paying-once.ts'

const PATIENCE_MS = 20_000

const [file = '', go = '', effects = ''] = process.argv.slice(2)
const print = (line: string): void => {
  writeSync(1, `${line}\n`)
}

const workflow = payingOnce(() => {
  appendFileSync(effects, 'paid\n')
  print('begun')
  const until = performance.now() + PATIENCE_MS
  while (!existsSync(go) && performance.now() < until);
  return 'paid'
})
await using shared = await sqliteStore({ path: file })
const store = interceptStore(shared, async (call, proceed) => {
  const answer = await proceed()
  if (call.name === 'inbox.post') print(`posted ${(call.args[1] as { type: string }).type}`)
  return answer
})
await using kernel = createKernel({
  ...{ store, workflows: [workflow], leaseMs: BLOCKED_LEASE_MS },
  onCommitted: (_, events) => {
    for (const { type } of events) print(`committed ${type}`)
  },
})
const { status } = await kernel.start(workflow, null, { runId: 'r' })
print(`ended ${status}`)
