import { workloads, type Workload } from '../../peers/workloads.ts'

/** A system, set up in one way. */
export interface PeerEntry {
  readonly name: string
  /** Its file in `apps/bench/peers`, and what that is told. */
  readonly file: string
  readonly variant: string
  /** What it does. */
  readonly workloads: readonly Workload[]
  /** The one of ours that it is compared with; absent for ours. */
  readonly against?: 'varve-postgres' | 'varve-sqlite'
  /** Workloads in which it does less than we do: they are shown, and nothing is demanded of us. */
  readonly doesLess?: readonly Workload[]
}

const worker: readonly Workload[] = ['W1', 'W2', 'W4', 'W5']
const direct: readonly Workload[] = ['W1', 'W2', 'W4', 'W5 direct']

/** Everything that can be measured, in the order in which it is. */
export const peerList: readonly PeerEntry[] = [
  { name: 'varve-postgres', file: 'varve.ts', variant: 'postgres', workloads },
  { name: 'varve-sqlite', file: 'varve.ts', variant: 'sqlite', workloads },
  {
    name: 'openworkflow-postgres',
    file: 'openworkflow.ts',
    variant: 'postgres',
    workloads: [...worker, 'W3 1k'],
    against: 'varve-postgres',
  },
  {
    name: 'openworkflow-sqlite',
    file: 'openworkflow.ts',
    variant: 'sqlite',
    workloads: [...worker, 'W3 1k'],
    against: 'varve-sqlite',
  },
  {
    name: 'dbos-postgres',
    file: 'dbos.ts',
    variant: 'postgres',
    workloads: [...worker, 'W3', 'W5 direct'],
    against: 'varve-postgres',
  },
  // To resume, graphs read their last state alone, and none of their steps.
  {
    name: 'langgraph-postgres',
    file: 'langgraph.ts',
    variant: 'postgres graph',
    workloads: [...direct, 'W3 2k'],
    against: 'varve-postgres',
    doesLess: ['W3 2k'],
  },
  {
    name: 'langgraph-sqlite',
    file: 'langgraph.ts',
    variant: 'sqlite graph',
    workloads: [...direct, 'W3 2k'],
    against: 'varve-sqlite',
    doesLess: ['W3 2k'],
  },
  // Its tasks go on before the one before them is durable.
  {
    name: 'langgraph-tasks-postgres',
    file: 'langgraph.ts',
    variant: 'postgres tasks',
    workloads: [...direct, 'W3 2k'],
    against: 'varve-postgres',
    doesLess: direct,
  },
  {
    name: 'langgraph-tasks-sqlite',
    file: 'langgraph.ts',
    variant: 'sqlite tasks',
    workloads: [...direct, 'W3 2k'],
    against: 'varve-sqlite',
    doesLess: direct,
  },
  { name: 'restate', file: 'restate.ts', variant: '', workloads: [...worker, 'W3'], against: 'varve-postgres' },
]

/** What is demanded of us next to each of them: so many times as fast. Rates are per second, the rest are times. */
export const targets: Readonly<Partial<Record<Workload, { readonly times: number; readonly rate: boolean }>>> = {
  W1: { times: 3, rate: true },
  W2: { times: 6, rate: true },
  W3: { times: 2, rate: false },
  'W3 2k': { times: 2, rate: false },
  'W3 1k': { times: 2, rate: false },
  W4: { times: 8, rate: false },
  W5: { times: 1, rate: false },
  'W5 direct': { times: 1, rate: false },
}
