import { defineWorkflow } from '@varve/kernel'
import { z } from 'zod'

/** What a step is given, and what it answers: about 200 bytes of JSON. */
export interface Payload {
  readonly step: number
  readonly order: string
  readonly lines: readonly string[]
  readonly note: string
}

const lines = ['kraftwerk-12 x 4', 'sediment-core x 1', 'core-box x 2']
const note = 'layer upon layer, one for each year that has passed over the lake, thick and thin, pale and dark'

/** The payload of one step. */
export function payloadOf(step: number): Payload {
  return { step, order: `order-${step}`, lines, note }
}

/** What every program of the bench does in a step, Varve or not: nothing, with an answer of about 200 bytes. */
export async function work({ step }: Payload): Promise<Payload> {
  return payloadOf(step + 1)
}

/** Key of a step's action. */
export function keyOf(step: number): string {
  return `step ${step}`
}

/**
 * So many actions in sequence, none of which does anything: what remains is the price of recording them.
 *
 * @param entered - called when the handler of a run's first action is, before anything else.
 */
export function sequenceOf(entered: () => void = () => undefined) {
  return defineWorkflow(
    {
      name: 'sequence',
      version: '1',
      input: z.strictObject({ steps: z.int() }),
      actions: {
        work: {
          effect: 'pure',
          run: (input: Payload, { key }) => {
            if (key === 'step 1') entered()
            return work(input)
          },
        },
      },
      initialState: ({ steps }) => ({ steps, done: 0 }),
    },
    {
      reduce: (state, event) => (event.type === 'ActionSucceeded' ? { ...state, done: state.done + 1 } : state),
      step: ({ steps, done }, next) =>
        done < steps ? next.run('work', payloadOf(done + 1), { key: keyOf(done + 1) }) : next.complete(done),
    },
  )
}
