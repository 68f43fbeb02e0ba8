/** A test that shows a weakness absent: how it is so, the file relative to `packages` without `.test.ts`, the title. */
export type Shown = readonly [why: string, file: string, test: string]

/** Numbers of the weaknesses of the original's runtime: adapters, leases, scheduling, control plane. */
export const weaknessNames: readonly string[] = Array.from({ length: 21 }, (_, i) => `W${i + 44}`)

/** Weaknesses with the tests that show them absent. */
export const answered: Readonly<Record<string, readonly Shown[]>> = {
  W46: [
    [
      'A step that wants nothing new parks its run instead of going round for ever.',
      'kernel/src/run/decide',
      'no progress is made by wanting what is done, and the error names the keys and a remedy',
    ],
  ],
  W47: [
    [
      'An answer is an event of its own, checked by its schema and folded like any other.',
      'kernel/src/kernel/resume',
      'an answer is recorded as its schema returns it, with who gave it, and the run goes on',
    ],
  ],
  W48: [
    ['A replay calls no handler.', 'kernel/src/spec/driver', 'a replay executes nothing'],
    [
      'A run goes on from its log, where its first process left it.',
      'kernel/src/kernel/start',
      'continues a run that another process left',
    ],
  ],
  W49: [
    [
      'What a run throws parks that run, and the worker goes on with the others.',
      'worker/src/races',
      'runs with damaged logs do not keep a worker from the others',
    ],
  ],
  W50: [
    [
      'Enqueuing writes the run and nothing else; a worker drives it.',
      'worker/src/worker',
      'drives runs that were enqueued before it came and after',
    ],
    [
      'The row and the first event are one commit.',
      'kernel/src/kernel/start',
      'a run is recorded and is due for whoever drives it',
    ],
  ],
  W51: [
    [
      'A worker that lost its lease writes nothing, whatever it has done meanwhile.',
      'worker/src/fencing',
      'appends nothing when another one has finished the run: it goes on where it is no longer needed',
    ],
    [
      'What it has done is handed in, and resolves what would be in doubt.',
      'worker/src/fencing',
      'hands in the outcome of what must not happen twice, which the other one had to leave in doubt',
    ],
  ],
  W52: [
    [
      'A renewal presents the token that the lease was given with, and is fenced when it has grown.',
      'kernel/src/driver/lease',
      'that was lost unnoticed is noticed by the append, which is fenced, and the outcome is handed in',
    ],
  ],
  W53: [
    [
      'Each death of a driver counts, and a run that kills them is parked.',
      'worker/src/poison',
      'a run that kills its worker each time is parked, others go on, and it runs when it is mended',
    ],
    [
      'What a dead process held is driven on without anybody asking.',
      'worker/src/worker',
      'is driven on at once where the process can be seen to be dead',
    ],
  ],
  W54: [
    [
      'A cancel is kept in the store, aborts what is under way wherever that is, and ends the run for good.',
      'kernel/src/kernel/cancel',
      'drops what is open, aborts its handlers, and ends it',
    ],
    ['It survives a crash.', 'kernel/src/kernel/cancel', 'goes on after a crash'],
  ],
  W55: [
    [
      'The run id is taken in the transaction that creates the run.',
      'kernel/src/kernel/start',
      'starting twice is one run, and another input is refused',
    ],
  ],
  W56: [
    [
      'A question is known by its key in the run, and answered once however often it is answered.',
      'kernel/src/kernel/resume',
      'twice at once is one answer',
    ],
  ],
  W57: [
    [
      'Limits count leases in the store, in the transaction of the claim, and never need to be counted down.',
      'worker/src/queues',
      'hold across workers with stores of their own, in all and for each key',
    ],
    [
      'Priority is what the run was started with.',
      'worker/src/queues',
      'give the highest priority first, then what has been due longest',
    ],
  ],
  W58: [
    [
      'Queues take turns, and no claim looks at a window that one of them could fill.',
      'worker/src/queues',
      'take turns: ten thousand runs in one keep ten in another waiting no longer than their share',
    ],
    [
      'One claim leases as many runs as there is room for.',
      'worker/src/worker',
      'fills places that become free together by one claim',
    ],
  ],
  W59: [
    [
      'A store that fails is asked ever more seldom, by one claim at a time, by each worker for itself.',
      'worker/src/worker',
      'is asked again after a while, ever more seldom, until it answers',
    ],
  ],
  W60: [
    [
      'All stores pass one contract, whose cases are shown to catch wrong stores.',
      'store-memory/src/contract-mutants',
      'every group of the contract has a mutant',
    ],
  ],
  W61: [
    [
      'Health says since when and why the store fails.',
      'worker/src/races',
      'a store that was closed under a worker shows in its health, and does not keep it from stopping',
    ],
  ],
}

/** Weaknesses of parts that there are none of here. */
export const notApplicable: Readonly<Record<string, string>> = {
  W44: 'Nothing blocks a thread until a promise settles: steps are pure and handlers are awaited.',
  W45: 'No adapter turns nodes of a graph into steps; an end carries its output in its event.',
  W62: 'There is no server and no client: the types are those of the code that runs.',
  W63: 'There are no plugins; versions of workflows are compared for being equal, nothing else.',
  W64: 'What is said of the original is not true of it; what is said here names its test, and the programs in READMEs are run.',
}
