import { isStoreError, StoreError, type Json, type Store, type StoreErrorCode } from '@varve/store'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { deserialize, serialize } from 'node:v8'
import { memoryStore } from '../memory-store.ts'

/** One call of a port's method; what `read` yields is sent as an array. */
interface Call {
  /** Absent for a method of the store itself. */
  readonly port?: 'events' | 'runs' | 'inbox' | 'snapshots' | 'artifacts' | 'cache' | 'secrets'
  readonly method: string
  readonly args: readonly unknown[]
}

type Answer = { readonly value?: unknown } | { readonly refusal: StoreErrorCode }

/** Lets other processes of this machine call a store. */
export async function serveStore(store: Store): Promise<{ readonly url: string; readonly close: () => void }> {
  const server = createServer((request, response) => {
    void buffer(request)
      .then(async (body) => answerTo(store, deserialize(body) as Call))
      .then((answer) => response.end(serialize(answer)))
  })
  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${port}`, close }
}

async function answerTo(store: Store, { port, method, args }: Call): Promise<Answer> {
  const methods = (port === undefined ? store : store[port]) as unknown as Readonly<
    Record<string, (...args: readonly unknown[]) => unknown>
  >
  try {
    const value = methods[method]?.(...args)
    return { value: method === 'read' ? await collect(value as AsyncIterable<unknown>) : await value }
  } catch (error) {
    if (isStoreError(error)) return { refusal: error.code }
    throw error
  }
}

async function collect(values: AsyncIterable<unknown>): Promise<unknown[]> {
  const collected: unknown[] = []
  for await (const value of values) collected.push(value)
  return collected
}

/** Opens the store that another process serves at this address. */
export async function openRemoteStore(url: Json): Promise<Store> {
  const call = async (call: Call): Promise<unknown> => {
    const response = await fetch(url as string, { method: 'POST', body: serialize(call) })
    const answer = deserialize(Buffer.from(await response.arrayBuffer())) as Answer
    if ('refusal' in answer) throw new StoreError(answer.refusal, 'refused by the process that serves the store')
    return answer.value
  }
  const port = (name: NonNullable<Call['port']>): never =>
    new Proxy(
      {},
      {
        get: (_, method) =>
          // A promise that is resolved with a port asks it for this.
          method === 'then' ? undefined : (...args: unknown[]) => call({ port: name, method: String(method), args }),
      },
    ) as never
  const events = port('events') as Store['events']
  return {
    capabilities: { durable: true, shared: true, notify: false },
    events: {
      append: async (...args) => events.append(...args),
      read: async function* (...args) {
        yield* (await (events.read(...args) as unknown)) as Awaited<ReturnType<Store['events']['read']>>
      },
    },
    runs: port('runs'),
    inbox: port('inbox'),
    snapshots: port('snapshots'),
    artifacts: port('artifacts'),
    cache: port('cache'),
    secrets: port('secrets'),
    now: async () => call({ method: 'now', args: [] }) as Promise<number>,
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** A wrong one: what looks like the shared run is a run of this process alone. */
export async function openSeparateStore(): Promise<Store> {
  const store = memoryStore()
  const owner = { id: 'a', boot: null, pidNamespace: null, pid: 1, startedAt: null }
  const create = { workflow: 'sample', version: '1', tags: [], queue: 'default', lease: { owner, leaseMs: 60_000 } }
  const run = { status: 'running', blockedOn: [], wakeAt: 0, create } as const
  await store.events.append('run-1', [], { expectedHead: 0, fencingToken: 0, run })
  return store
}

/** A wrong one: who takes a run here looks at no lease of another process. */
export async function openSeizingStore(url: Json): Promise<Store> {
  const store = await openRemoteStore(url)
  const acquire: Store['runs']['acquire'] = async (runId, request) => {
    const token = (await store.runs.find(runId))?.token ?? 0
    return store.runs.acquire(runId, { ...request, takeover: token })
  }
  return { ...store, runs: instead(store.runs, { acquire }) }
}

/** A wrong one: of posts that several processes keep at once those of one are there. */
export async function openForgetfulStore(url: Json): Promise<Store> {
  const store = await openRemoteStore(url)
  const post: Store['inbox']['post'] = async (runId, draft, options) => {
    const { items } = await store.inbox.list(runId, { limit: 1000 })
    const [writer] = draft.id.split(',')
    const isAlone = items.every(({ id }) => id.split(',')[0] === writer)
    return isAlone ? store.inbox.post(runId, draft, options) : 'kept'
  }
  return { ...store, inbox: instead(store.inbox, { post }) }
}

/** A port with other methods in the place of its own, which no spread would find. */
function instead<Port extends object>(port: Port, methods: Partial<Port>): Port {
  return new Proxy(port, { get: (_, name) => (Reflect.get(methods, name) ?? Reflect.get(port, name)) as unknown })
}
