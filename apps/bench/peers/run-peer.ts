// Measures one peer in a process of its own: node run-peer.ts <task>, forked with a channel for what it measures.
import { median } from '../src/statistics.ts'
import type { FromPeer, Peer, PeerModule, PeerTask } from './peer.ts'
import type { Amounts, Workload } from './workloads.ts'

/** What every workload does before it is measured, at least once. */
const WARM_UP: Amounts = {
  sequenceSteps: 200,
  runs: 100,
  stepsOfRun: 5,
  resumedSteps: { W3: 100, 'W3 2k': 100, 'W3 1k': 100 },
  fanOutSteps: 100,
  starts: 1,
}

/**
 * What a process does all day is done again and again for so long before it is measured, in ms: until code is compiled for good
 * it takes several times as long. A resumption comes when a process has just begun, and a start when it has rested.
 */
const WARM_UP_MS: Partial<Record<Workload, number>> = { W1: 3_000, W2: 3_000, W4: 3_000 }

const task = JSON.parse(process.argv[2] ?? '') as PeerTask
// The parent is gone: nobody wants to know any more.
process.once('disconnect', () => process.exit())
process.once('uncaughtException', leave)
process.once('unhandledRejection', leave)

try {
  await run(task)
} catch (error) {
  leave(error)
}
process.exit()

async function run({ file, variant, location, workloads, amounts }: PeerTask): Promise<void> {
  const { open } = (await import(new URL(file, import.meta.url).href)) as PeerModule
  const peer = await open(location, variant)
  for (const workload of workloads) {
    try {
      await warmUp(peer, workload)
      await tell({ workload, value: await measure(peer, workload, amounts) })
    } catch (error) {
      await tell({ workload, error: messageOf(error) })
    }
  }
  await peer[Symbol.asyncDispose]()
}

async function warmUp(peer: Peer, workload: Workload): Promise<void> {
  const until = performance.now() + (WARM_UP_MS[workload] ?? 0)
  do await measure(peer, workload, WARM_UP)
  while (performance.now() < until)
}

async function measure(peer: Peer, workload: Workload, amounts: Amounts): Promise<number> {
  const { sequenceSteps, runs, stepsOfRun, resumedSteps, fanOutSteps, starts } = amounts
  switch (workload) {
    case 'W1':
      return perSecond(sequenceSteps, await peer.sequence(sequenceSteps))
    case 'W2':
      return perSecond(runs, await peer.manyRuns({ runs, steps: stepsOfRun }))
    case 'W3':
    case 'W3 2k':
    case 'W3 1k':
      return peer.resume(resumedSteps[workload])
    case 'W3 all':
      return must(peer.resumeFromStart)(resumedSteps.W3)
    case 'W4':
      return peer.fanOut(fanOutSteps)
    case 'W5':
      return median(await must(peer.latencies)(starts))
    case 'W5 direct':
      return median(await must(peer.directLatencies)(starts))
  }
}

function must<T>(method: T | undefined): T {
  if (method === undefined) throw new Error('there is nothing of the kind')
  return method
}

function perSecond(count: number, ms: number): number {
  return (count / ms) * 1_000
}

/** Resolves when the message is on its way: a process that leaves takes along what is not. */
function tell(message: FromPeer): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()))
}

function leave(error: unknown): void {
  console.error(messageOf(error))
  process.exit(1)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
