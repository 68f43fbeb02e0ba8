import { storedArtifact, StoreError, type Store } from '@varve/store'
import { createTestClock, type Harness } from '@varve/store-contract'
import { storeOver } from '../memory-store.ts'
import { Memory } from '../memory.ts'
import { serveStore } from './remote-store.ts'

const mutating: ReadonlySet<PropertyKey> = new Set(
  [
    ...['append', 'post', 'claim', 'acquire', 'renew', 'release', 'remove', 'save', 'prune'],
    ...['put', 'erase', 'touch', 'delete', 'putIfAbsent'],
  ], //
)

/** Whether the answer of the next mutating call gets lost. */
interface Answers {
  lost: boolean
}

/**
 * A harness whose stores are handles on one store in memory, as the connections to a database are: durable as long as the
 * harness lives, shared also with other processes, and able to lose an answer. So every case has something to do.
 */
export async function sharedMemoryHarness(): Promise<Harness> {
  const clock = createTestClock()
  const memory = new Memory(clock.now)
  const data = storeOver(memory)
  const answers: Answers = { lost: false }
  const server = await serveStore(data)
  return {
    clock,
    open: async () => openHandle(data, answers),
    loseNextAnswer: () => {
      answers.lost = true
    },
    corruptArtifact: async (id) => {
      const bytes = memory.artifacts.get(id)?.bytes
      bytes?.set([(bytes[0] ?? 0) ^ 1])
    },
    child: { module: new URL('remote-store.ts', import.meta.url).href, export: 'openRemoteStore', args: server.url },
    destroy: async () => server.close(),
  }
}

function openHandle(data: Store, answers: Answers): Store {
  let isClosed = false
  const subscriptions = new Set<AsyncDisposable>()
  const checkOpen = (): void => {
    if (isClosed) throw new StoreError('STORE_CLOSED', 'this handle was closed')
  }
  const get: Store['artifacts']['get'] = async (id) => {
    const artifact = await data.artifacts.get(id)
    return storedArtifact(artifact, () => whileOpen(artifact.stream(), checkOpen))
  }
  const handle = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as ((...args: unknown[]) => unknown) | undefined
        // A promise that is resolved with a port asks it for `then`.
        if (method === undefined) return undefined
        return (...args: unknown[]) => {
          checkOpen()
          const answer = method(...args)
          if (name === 'subscribe') subscriptions.add(answer as AsyncDisposable)
          return mutating.has(name) ? answered(answer as Promise<unknown>, answers) : answer
        }
      },
    })
  return {
    capabilities: { durable: true, shared: true, notify: true },
    events: handle(data.events),
    runs: handle(data.runs),
    inbox: handle(data.inbox),
    snapshots: handle(data.snapshots),
    artifacts: handle({ ...data.artifacts, get }),
    cache: handle(data.cache),
    secrets: handle(data.secrets),
    now: async () => {
      checkOpen()
      return data.now()
    },
    ...(data.notifications !== undefined && { notifications: handle(data.notifications) }),
    [Symbol.asyncDispose]: async () => {
      isClosed = true
      for (const subscription of subscriptions) await subscription[Symbol.asyncDispose]()
    },
  }
}

async function* whileOpen(chunks: AsyncIterable<Uint8Array>, checkOpen: () => void): AsyncGenerator<Uint8Array> {
  checkOpen()
  for await (const chunk of chunks) {
    yield chunk
    checkOpen()
  }
}

async function answered(answer: Promise<unknown>, answers: Answers): Promise<unknown> {
  const { lost } = answers
  answers.lost = false
  const value = await answer
  if (lost) throw new StoreError('UNKNOWN_OUTCOME', 'the answer was lost')
  return value
}
