// A program that tests start as a process: opens a store, gives up its right to look into the folder, and writes for a while.
import { genesis, sealEvent } from '@varve/store'
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { sqliteStore } from '../sqlite-store.ts'

const NOBODY = 65_534

const [file = ''] = process.argv.slice(2)
const store = await sqliteStore({ path: file }, { synchronous: 'NORMAL' })
const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
const run = { status: 'running', blockedOn: [], wakeAt: 0 } as const
await store.events.append('run-0', [], { expectedHead: 0, fencingToken: 0, run: { ...run, create } })
chmodSync(path.dirname(file), 0)
if (process.getuid?.() === 0) process.seteuid?.(NOBODY)
// Longer than a file that was taken away could be written to.
const until = performance.now() + 300
let runs = 0
while (performance.now() < until) {
  const runId = `run-${++runs}`
  const { stored } = sealEvent(runId, genesis(runId), { type: 'Noted', data: {} }, 0)
  await store.events.append(runId, [stored], { expectedHead: 0, fencingToken: 0, run: { ...run, create } })
}
process.stdout.write(`${(await store.runs.find(`run-${runs}`))?.status}`)
