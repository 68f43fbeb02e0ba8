import { memoryStore } from '@varve/store-memory'
import { simulatedProcess, type Faults, type SimulatedProcess } from '../simulated-process.ts'
import { virtualClock } from '../virtual-clock.ts'
import { tell, type Told } from './feature-scenario.ts'
import { play, RUN_ID, seamWorkflow, type KernelModule, type Played } from './scenario.ts'

/** A named scenario: what goes wrong in it, and what must hold all the same. */
export interface NamedScenario {
  readonly name: string
  /** @throws when the kernel breaks its promise. */
  readonly run: (kernel: KernelModule) => Promise<void>
}

/** An answer that is lost after the commit: nothing may be repeated because of it. */
const lostAcknowledgement: NamedScenario = {
  name: 'a lost acknowledgement leaves the very log of an undisturbed run',
  run: async (kernel) => {
    const undisturbed = typesOf(await playInMemory(kernel, {}))
    for (let loseAppend = 1; loseAppend <= 7; loseAppend++) {
      const types = typesOf(await playInMemory(kernel, { loseAppend }))
      if (types !== undisturbed) throw new Error(`append ${loseAppend}: ${types}`)
    }
  },
}

/** A post that arrives while the driver lets go of the blocked run. */
const postBeforeRelease: NamedScenario = {
  name: 'a post that comes between the last append and the release is taken by the driver that was about to let go',
  run: async (kernel) => {
    const clock = virtualClock()
    const store = memoryStore({ now: clock.now })
    const process = simulatedProcess(store, clock, {
      onBoundary: async (_, call) => {
        if (call?.name !== 'runs.release') return
        const body = JSON.stringify({ key: 'approve', value: true })
        const post = { id: 'late', type: 'Resumed', body }
        await store.inbox.post(RUN_ID, post, { maxWaiting: 10 }).catch(() => undefined)
      },
    })

    const outcome = await process.finish(startOnly(kernel, process))

    const status = (outcome as { readonly status?: string }).status
    if (status !== 'completed') throw new Error(`the run is ${status}`)
  },
}

/** A process that dies right before each append. */
const durableBeforeStart: NamedScenario = {
  name: 'no action starts before its request is durable',
  run: async (kernel) => {
    for (let crashAt = 1; crashAt <= 34; crashAt++) {
      const { early } = await playInMemory(kernel, { crashAt })
      if (early.length > 0) throw new Error(`crash at ${crashAt}: ${early.join()} started too early`)
    }
  },
}

/** A process that dies with an at-most-once action under way. */
const paidOnce: NamedScenario = {
  name: 'an at-most-once action never runs again without an answer',
  run: async (kernel) => {
    for (let crashAt = 1; crashAt <= 80; crashAt++) {
      const { effects } = await tellInMemory(kernel, crashAt)
      if ((effects['pay'] ?? 0) > 1) throw new Error(`crash at ${crashAt}: paid ${effects['pay']} times`)
    }
  },
}

/** A process that dies between the end of a run and the news of it. */
const debtsPaid: NamedScenario = {
  name: 'what a run owes another is paid after any crash',
  run: async (kernel) => {
    for (let crashAt = 1; crashAt <= 80; crashAt++) {
      const { faults, outcome } = await tellInMemory(kernel, crashAt)
      if (faults.length > 0 || outcome.status !== 'completed') throw new Error(`crash at ${crashAt}: ${faults.join()}`)
    }
  },
}

/** The promises that the seams of the kernel are for, each as a scenario that a wrong kernel fails. */
export const kernelScenarios = {
  lostAcknowledgement,
  postBeforeRelease,
  durableBeforeStart,
  paidOnce,
  debtsPaid,
} as const

async function playInMemory(kernel: KernelModule, faults: Faults): Promise<Played> {
  const clock = virtualClock()
  return play({ kernel, clock, lives: [faults], store: memoryStore({ now: clock.now }) })
}

async function tellInMemory(kernel: KernelModule, crashAt: number): Promise<Told> {
  const clock = virtualClock()
  return tell(kernel, 'completes', memoryStore({ now: clock.now }), clock, [{ crashAt }])
}

function typesOf({ log }: Played): string {
  return log.map(({ type }) => type).join(' ')
}

async function startOnly(kernel: KernelModule, process: SimulatedProcess): Promise<unknown> {
  const { store, clock, owner } = process
  const workflow = seamWorkflow(kernel, process, { effects: new Map(), early: [] })
  const varve = kernel.createKernel({ store, clock, owner, workflows: [workflow] })
  return varve.start(workflow, { base: 1 }, { runId: RUN_ID })
}
