import * as restate from '@restatedev/restate-sdk'
import * as clients from '@restatedev/restate-sdk-clients'
import { spawn } from 'node:child_process'
import { createServer } from 'node:http2'
import { createRequire } from 'node:module'
import { createServer as createProbe, type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { countdown, manyAtOnce, payloadOf, REST, rest, runText, type Location, type Peer } from './peer.ts'

/** The server gets a partition for each core: with the 24 of its default, two cores only switch between them. */
const PARTITIONS = os.availableParallelism()
/** Requests to the server at once; with 50 it is a fifth slower. */
const CONCURRENCY = 200
const START_PATIENCE_MS = 30_000

/** What a run is given. */
interface Input {
  readonly steps: number
  readonly shape: 'sequence' | 'fan-out' | 'resumed'
  readonly text: string
}

let executed: (step: number) => void = () => undefined
let awaiting: (awakeable: string) => void = () => undefined

const work = restate.service({
  name: 'work',
  handlers: {
    run: restate.handlers.handler(
      // So soon after it began to wait, a run that waits is taken out of memory.
      { inactivityTimeout: 200, journalRetention: 0 },
      async (ctx: restate.Context, { steps, shape }: Input): Promise<number> => {
        const stepOf = (n: number) =>
          ctx.run(`step ${n}`, () => {
            executed(n)
            return payloadOf(n)
          })
        const numbers = Array.from({ length: steps }, (_, i) => i + 1)
        if (shape === 'fan-out') await restate.RestatePromise.all(numbers.map(stepOf))
        else for (const n of numbers) await stepOf(n)
        if (shape === 'resumed') {
          const { id, promise } = ctx.awakeable()
          awaiting(id)
          await promise
          await stepOf(steps + 1)
        }
        return steps
      },
    ),
  },
})

/** Restate: its server as a process of its own, its service in this one. */
export async function open({ folder }: Location): Promise<Peer> {
  const endpoint = createServer(restate.createEndpointHandler({ services: [work], logger: () => undefined }))
  // How many requests are under way tells when a run was taken out of memory.
  let streams = 0
  endpoint.on('stream', (stream) => {
    streams++
    stream.once('close', () => streams--)
  })
  await new Promise<void>((resolve) => endpoint.listen(0, '127.0.0.1', resolve))
  const { port } = endpoint.address() as AddressInfo
  const server = await startServer(folder)
  await post(`${server.adminUrl}/deployments`, { uri: `http://127.0.0.1:${port}`, use_http_11: false })
  const ingress = clients.connect({ url: server.ingressUrl })
  const client = ingress.serviceClient<typeof work>({ name: 'work' })
  const sender = ingress.serviceSendClient<typeof work>({ name: 'work' })

  const timeRun = async (shape: Input['shape'], steps: number): Promise<number> => {
    const startedAt = performance.now()
    await client.run({ steps, shape, text: runText })
    return performance.now() - startedAt
  }

  const resume = async (steps: number): Promise<number> => {
    const asked = Promise.withResolvers<string>()
    awaiting = asked.resolve
    await sender.run({ steps, shape: 'resumed', text: runText })
    const awakeable = await asked.promise
    awaiting = () => undefined
    while (streams > 0) await rest(0, { restMs: 20, spreadMs: 0 })
    const live = countdown(1)
    executed = (step) => step > steps && live.hit()
    const startedAt = performance.now()
    await ingress.resolveAwakeable(awakeable, null)
    return (await live.zero) - startedAt
  }

  const latencies = async (starts: number): Promise<readonly number[]> => {
    const measured: number[] = []
    for (let start = 0; start < starts; start++) {
      await rest(start, REST)
      const first = countdown(1)
      executed = first.hit
      const startedAt = performance.now()
      const ended = client.run({ steps: 1, shape: 'sequence', text: runText })
      measured.push((await first.zero) - startedAt)
      await ended
    }
    executed = () => undefined
    return measured
  }

  return {
    sequence: (steps) => timeRun('sequence', steps),
    fanOut: (steps) => timeRun('fan-out', steps),
    // What is sent is driven at once: the time is that from the first request on.
    manyRuns: async ({ runs, steps }) => {
      const startedAt = performance.now()
      await manyAtOnce(runs, CONCURRENCY, () => client.run({ steps, shape: 'sequence', text: runText }))
      return performance.now() - startedAt
    },
    resume,
    latencies,
    [Symbol.asyncDispose]: async () => {
      await server.stop()
      endpoint.close()
    },
  }
}

async function startServer(folder: string) {
  const [ingress, admin, node] = await Promise.all([freePort(), freePort(), freePort()])
  const ours = createRequire(createRequire(import.meta.url).resolve('@restatedev/restate-server/package.json'))
  const binary = ours.resolve(`@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`)
  const settings = {
    RESTATE_BASE_DIR: path.join(folder, 'restate'),
    RESTATE_NODE_NAME: 'bench',
    RESTATE_LISTEN_MODE: 'tcp',
    RESTATE_BIND_ADDRESS: `127.0.0.1:${node}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
    RESTATE_DEFAULT_NUM_PARTITIONS: String(PARTITIONS),
    RESTATE_DISABLE_TELEMETRY: 'true',
    RESTATE_LOG_FILTER: 'error,octocrab=off',
  }
  const child = spawn(binary, ['--no-logo'], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const adminUrl = `http://127.0.0.1:${admin}`
  const ingressUrl = `http://127.0.0.1:${ingress}`
  await Promise.race([
    Promise.all([answers(`${adminUrl}/health`), answers(`${ingressUrl}/restate/health`)]),
    gone.then(() => Promise.reject(new Error('restate-server ended while it started'))),
  ])
  return {
    adminUrl,
    ingressUrl,
    stop: async () => {
      child.kill('SIGTERM')
      const impatient = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await gone
      clearTimeout(impatient)
    },
  }
}

async function answers(url: string): Promise<void> {
  const deadline = performance.now() + START_PATIENCE_MS
  while (
    !(await fetch(url).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (performance.now() > deadline) throw new Error(`${url} does not answer`)
    await rest(0, { restMs: 100, spreadMs: 0 })
  }
}

async function post(url: string, body: object): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
}

async function freePort(): Promise<number> {
  const probe = createProbe()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
