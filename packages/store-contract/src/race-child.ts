// A program that cases start as a process: waits for the word, then races for every head of one run.
import { genesis, isStoreError, type Claim, type LogEnd, type Store, type StoreErrorCode } from '@varve/store'
import { isAbsolute } from 'node:path'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { readAll } from './expectations.ts'
import { sharedContent, type Race, type RaceResult } from './race.ts'
import { endOf, sampleEvents } from './sample-events.ts'
import { LEASE_MS, owner, running } from './test-run.ts'

type Module = Readonly<Record<string, (args: unknown) => Promise<Store>>>

const race = JSON.parse(process.argv[2] ?? '{}') as Race
const won: LogEnd[] = []
const refusals: Partial<Record<StoreErrorCode, number>> = {}

async function openStore(): Promise<Store> {
  const { module, export: name, args } = race.store
  const exports = (await import(isAbsolute(module) ? pathToFileURL(module).href : module)) as Module
  const open = exports[name]
  if (open === undefined) throw new TypeError(`${module} does not export ${name}`)
  return open(args)
}

/** All processes put the same content, and want the same entry of the cache. @returns who got it. */
async function share(store: Store): Promise<string> {
  const artifacts = [await store.artifacts.put(sharedContent)]
  return (await store.cache.putIfAbsent({ key: race.runId, group: race.writer, artifacts, body: null })).group
}

async function run(store: Store): Promise<void> {
  let end = genesis(race.runId)
  while (end.seq < race.events) {
    try {
      end = await appendOne(store, end)
    } catch (error) {
      if (!isStoreError(error)) throw error
      refusals[error.code] = (refusals[error.code] ?? 0) + 1
      await nextTurn()
    }
    end = endOf(await readAll(store, race.runId, { from: end.seq + 1 }), end)
  }
}

async function appendOne(store: Store, end: LogEnd): Promise<LogEnd> {
  const claim = race.token === undefined ? await lease(store) : undefined
  try {
    const events = sampleEvents(race.runId, 1, end, race.writer)
    const options = { expectedHead: end.seq, fencingToken: claim?.token ?? race.token ?? 0, run: running }
    await store.events.append(race.runId, events, options)
    const next = endOf(events, end)
    won.push({ seq: next.seq, hash: next.hash })
    return next
  } finally {
    if (claim !== undefined) await store.runs.release(claim, { expectedHead: end.seq + 1 })
  }
}

async function lease(store: Store): Promise<Claim> {
  return store.runs.acquire(race.runId, { owner: owner(race.writer), leaseMs: LEASE_MS })
}

async function result(): Promise<RaceResult> {
  try {
    const store = await openStore()
    process.stdout.write('ready\n')
    await once(process.stdin, 'data')
    const cached = await share(store)
    await run(store)
    await store[Symbol.asyncDispose]()
    return { won, refusals, cached }
  } catch (error) {
    return { won, refusals, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

process.stdout.write(`${JSON.stringify(await result())}\n`)
process.stdin.destroy()
