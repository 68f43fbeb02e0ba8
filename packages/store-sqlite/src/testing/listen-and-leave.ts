// A program that tests start as a process: subscribes, hears of a commit of its own, and has nothing else to do.
import { sqliteStore } from '../sqlite-store.ts'

const [file = ''] = process.argv.slice(2)
const store = await sqliteStore({ path: file }, { synchronous: 'NORMAL' })
store.notifications?.subscribe(({ runId }) => process.stdout.write(`heard of ${runId}`))
const create = { workflow: 'w', version: '1', tags: [], queue: 'q' }
const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
await store.events.append('run-1', [], { expectedHead: 0, fencingToken: 0, run })
