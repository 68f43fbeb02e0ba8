// Runs in a project of its own that has the packed packages installed, and nothing of this repository.
// Its arguments are the names of the packages: each must load from what was published, and a run must end on a SQLite file.
for (const name of process.argv.slice(2)) {
  const found = import.meta.resolve(name)
  if (!found.endsWith('/dist/index.js')) throw new Error(`${name} resolves to ${found}`)
  await import(name)
  console.log(`loaded ${name}`)
}

const { createKernel, defineWorkflow, isKernelError } = await import('@varve/kernel')
const { stepperWorkflow } = await import('@varve/kernel/stepper')
if (typeof stepperWorkflow !== 'function') throw new Error('@varve/kernel/stepper does not load')
const { isStoreError } = await import('@varve/store')
const { sqliteStore } = await import('@varve/store-sqlite')

/** Any Standard Schema will do: this one takes everything. */
const anything = { '~standard': { version: 1, vendor: 'none', validate: (value) => ({ value }) } }

const doubling = defineWorkflow(
  { name: 'doubling', version: '1', input: anything, actions: { double: { run: (n) => n * 2 } } },
  {
    step: (state, next) => {
      const doubled = state.results['double']
      return doubled === undefined ? next.run('double', state.input) : next.complete(doubled.output)
    },
  },
)

const store = await sqliteStore({ path: 'runs.db' })
const kernel = createKernel({ store, workflows: [doubling] })
const outcome = await kernel.start(doubling, 21, { runId: 'packed' })
const missing = await kernel.get('nobody').catch((error) => error)
await kernel[Symbol.asyncDispose]()
await store[Symbol.asyncDispose]()
const closed = await store.runs.find('packed').catch((error) => error)
console.log(
  outcome.status,
  outcome.output,
  isKernelError(missing, 'RUN_NOT_FOUND'),
  // Thrown by one package's copy of the class and recognised by another's.
  isStoreError(closed, 'STORE_CLOSED'),
)

const { memoryStore } = await import('@varve/store-memory')
const { crashMatrix } = await import('@varve/testing')
const { effects } = await crashMatrix({
  open: memoryStore,
  workflows: () => ({ doubling }),
  begin: ({ kernel, workflows }) => kernel.start(workflows.doubling, 21, { runId: 'crashed' }),
})
console.log('crash-proof', effects.size)

const { createEngine, definePlan, defineState } = await import('@varve/plan')
const { fileTransport } = await import('@varve/plan/transports')
const half = defineState({
  ...{ id: 'half', params: anything, output: anything, run: ({ params }) => params.n / 2 },
})
const halving = definePlan({ id: 'halving', version: '1', params: anything, states: [half], output: half })
const engine = createEngine({
  ...{ store: memoryStore(), plans: [halving], transports: { files: () => fileTransport({ root: '.' }) } },
})
const halved = await engine.start(halving, { n: 84 })
console.log('planned', halved.output)
