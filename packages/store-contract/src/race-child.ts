// A program that cases start as a process: waits for the word, then races for every head of one run, or for its posts.
import { genesis, isStoreError, type Claim, type LogEnd, type Store, type StoreErrorCode } from '@varve/store'
import { isAbsolute } from 'node:path'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { readAll } from './expectations.ts'
import { racedRuns, sharedContent, type Race, type RaceResult } from './race.ts'
import { endOf, sampleEvents } from './sample-events.ts'
import { claimDue, LEASE_MS, owner, post, running } from './test-run.ts'

type Module = Readonly<Record<string, (args: unknown) => Promise<Store>>>

const race = JSON.parse(process.argv[2] ?? '{}') as Race
const won: LogEnd[] = []
const leases: string[] = []
const taken: string[] = []
const refusals: Partial<Record<StoreErrorCode, number>> = {}

/** Repeats a call until the store has time for it: how long it waits for others before it says that it is busy is its own affair. */
async function whenFree<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!isStoreError(error, 'STORE_BUSY')) throw error
      await nextTurn()
    }
  }
}

async function openStore(): Promise<Store> {
  const { module, export: name, args } = race.store
  const exports = (await import(isAbsolute(module) ? pathToFileURL(module).href : module)) as Module
  const open = exports[name]
  if (open === undefined) throw new TypeError(`${module} does not export ${name}`)
  return open(args)
}

/** All processes put the same content, and want the same entry of the cache. @returns who got it. */
async function share(store: Store): Promise<string> {
  const artifacts = [await whenFree(async () => store.artifacts.put(sharedContent))]
  const entry = { key: race.runId, group: race.writer, artifacts, body: null }
  return (await whenFree(async () => store.cache.putIfAbsent(entry))).group
}

async function run(store: Store): Promise<void> {
  let end = genesis(race.runId)
  while (end.seq < race.events) {
    end = (await unlessRefused(async () => appendOne(store, end))) ?? end
    const { seq } = end
    end = endOf(await whenFree(async () => readAll(store, race.runId, { from: seq + 1 })), end)
  }
}

async function unlessRefused<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call()
  } catch (error) {
    if (!isStoreError(error)) throw error
    refusals[error.code] = (refusals[error.code] ?? 0) + 1
    await nextTurn()
    return undefined
  }
}

/** Keeps posts, and takes after each whatever waits, if no other process has the run. */
async function postAndTake(store: Store, posts: number): Promise<void> {
  for (let n = 0; n < posts; n++) {
    const runId = racedRuns[n % racedRuns.length] ?? race.runId
    await whenFree(async () => post(store, runId, `${race.writer}, post ${n}`))
    await unlessRefused(async () => {
      const claiming = async () => claimDue(store, race.writer, { limit: 1 })
      const [claim] = n % 3 === 0 ? [await lease(store, runId)] : await whenFree(claiming)
      if (claim !== undefined) await takePosts(store, claim)
    })
  }
}

async function takePosts(store: Store, claim: Claim): Promise<void> {
  const { runId, head: expectedHead, token: fencingToken } = claim
  leases.push(`${runId}, token ${fencingToken}`)
  await whenFree(async () => store.runs.renew(claim, { leaseMs: LEASE_MS }))
  const take = (await whenFree(async () => store.inbox.list(runId, { limit: 10 }))).items.map(({ id }) => id)
  await whenFree(async () => store.events.append(runId, [], { expectedHead, fencingToken, run: running, take }))
  taken.push(...take)
  await whenFree(async () => store.runs.release(claim, { expectedHead }))
}

async function appendOne(store: Store, end: LogEnd): Promise<LogEnd> {
  const claim = race.token === undefined ? await lease(store) : undefined
  try {
    const events = sampleEvents(race.runId, 1, end, race.writer)
    const options = { expectedHead: end.seq, fencingToken: claim?.token ?? race.token ?? 0, run: running }
    await whenFree(async () => store.events.append(race.runId, events, options))
    const next = endOf(events, end)
    won.push({ seq: next.seq, hash: next.hash })
    return next
  } finally {
    if (claim !== undefined) await whenFree(async () => store.runs.release(claim, { expectedHead: end.seq + 1 }))
  }
}

async function lease(store: Store, runId = race.runId): Promise<Claim> {
  return whenFree(async () => store.runs.acquire(runId, { owner: owner(race.writer), leaseMs: LEASE_MS }))
}

async function result(): Promise<RaceResult> {
  try {
    const store = await whenFree(openStore)
    process.stdout.write('ready\n')
    await once(process.stdin, 'data')
    const cached = await share(store)
    await (race.posts === undefined ? run(store) : postAndTake(store, race.posts))
    await store[Symbol.asyncDispose]()
    return { won, leases, taken, refusals, cached }
  } catch (error) {
    return { won, refusals, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

process.stdout.write(`${JSON.stringify(await result())}\n`)
process.stdin.destroy()
