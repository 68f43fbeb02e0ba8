import { createKernel, defineWorkflow } from '@varve/kernel'
import { defaultLimits, type Store } from '@varve/store'
import { randomBytes, randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Figures } from '../rounds/program.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Sizes of an answer, from less than that of a plain step to all that an event may hold. */
export const blobSizes = [
  { name: '100 B', bytes: 100 },
  { name: '1 KiB', bytes: KIB },
  { name: '10 KiB', bytes: 10 * KIB },
  { name: '100 KiB', bytes: 100 * KIB },
  { name: '256 KiB', bytes: 256 * KIB },
  { name: '1 MiB', bytes: MIB },
] as const

/** What an event holds besides its answer, at most. */
const FRAME_BYTES = KIB

/** By default an event with its frame may have 1 MiB: so much more lets the answer have it. */
const limits = {
  bodyBytes: defaultLimits.bodyBytes + FRAME_BYTES,
  appendBytes: defaultLimits.appendBytes + 2 * FRAME_BYTES,
}

/** Drives a run of steps that answer texts of so many bytes, 20 MiB in all and at most 100 steps, and verifies it. */
export async function timeBlobs(store: Store, bytes: number): Promise<Figures> {
  const steps = Math.min(100, (20 * MIB) / bytes)
  const mebibytes = (steps * bytes) / MIB
  const blobs = blobsOf(bytes)
  const runId = `blobs-${randomUUID()}`
  await using kernel = createKernel({ store, workflows: [blobs], limits })
  const startedAt = performance.now()
  const { status } = await kernel.start(blobs, { steps }, { runId })
  const endedAt = performance.now()
  const { ok } = await kernel.verify(runId)
  const verifiedAt = performance.now()
  if (status !== 'completed' || !ok) throw new Error(`the run with ${bytes} bytes in each step is not as it should be`)
  return {
    'ms/step': (endedAt - startedAt) / steps,
    'ms/MiB': (endedAt - startedAt) / mebibytes,
    'verify ms/MiB': (verifiedAt - endedAt) / mebibytes,
  }
}

/** So many steps in sequence, each of which answers a text of so many bytes. */
function blobsOf(bytes: number) {
  // Random, for what repeats is compressed by Postgres.
  const text = randomBytes(bytes).toString('base64').slice(0, bytes)
  return defineWorkflow(
    {
      name: 'blobs',
      version: '1',
      input: z.strictObject({ steps: z.int() }),
      actions: { make: { effect: 'pure', run: (_: null) => text } },
      initialState: ({ steps }) => ({ steps, done: 0 }),
    },
    {
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? { ...state, done: state.done + 1 } : state),
      step: ({ steps, done }, next) =>
        done < steps ? next.run('make', null, { key: `step ${done + 1}` }) : next.complete(done),
    },
  )
}
