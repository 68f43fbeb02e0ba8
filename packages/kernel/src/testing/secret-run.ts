import type { Store } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import { z } from 'zod'
import { createKernel } from '../kernel/kernel.ts'
import type { KernelOptions } from '../kernel/options.ts'
import type { ActionContext, AnyAction } from '../workflow/action.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { secretKeys } from '../secrets/secret-keys.ts'
import { secretSchema } from '../secrets/secret-schema.ts'
import { manualClock } from './manual-clock.ts'

/** A value that must never be found anywhere. */
export const TOKEN = 'tok-correct-horse-battery'

/** Keys of tests: 32 times the same byte. */
export const keyK1 = new Uint8Array(32).fill(1)
export const keys = secretKeys({ current: 'k1', keys: { k1: keyK1 } })

/** What the action of {@link secretRun} is given. */
export interface CallInput {
  readonly token: string
  readonly path: string
}

type CallOptions = Pick<AnyAction, 'effect' | 'retry' | 'timeoutMs' | 'reconcile' | 'fenced'>

/** A run whose input has a secret, which its one action is given. */
export function secretRun(
  call: (input: CallInput, ctx: ActionContext) => unknown,
  options: CallOptions = {},
  kernelOptions: Partial<KernelOptions> = {},
) {
  const clock = manualClock()
  const store: Store = memoryStore({ now: clock.now })
  const workflow = defineWorkflow(
    {
      ...{ name: 'sync', version: '1' },
      input: z.object({ user: z.string(), token: secretSchema(z.string().min(8)) }),
      actions: { call: { ...options, run: (input: CallInput, ctx) => call(input, ctx) as null } },
    },
    {
      step: ({ input, results }, next) =>
        results['call']
          ? next.complete(results['call'])
          : next.run('call', { token: input.token, path: `/users/${input.user}` }),
    },
  )
  const another = (more: Partial<KernelOptions> = {}) =>
    createKernel({ store, workflows: [workflow], clock, secrets: { keys }, ...kernelOptions, ...more })
  return { clock, store, workflow, another, kernel: another() }
}

/** Every text that a store holds of a run: its log, its posts, its snapshot and its row. */
export async function everythingOf(store: Store, runId: string): Promise<string> {
  const events: unknown[] = []
  for await (const event of store.events.read(runId)) events.push(event)
  return JSON.stringify([
    events,
    await store.inbox.list(runId, { limit: 1000 }),
    await store.inbox.rejected(runId, { limit: 1000 }),
    await store.snapshots.latest(runId),
    await store.runs.find(runId),
  ])
}

/** The ids of the secrets that a store's texts refer to. */
export function idsIn(texts: string): readonly string[] {
  return [...new Set([...texts.matchAll(/\$secret\\*":\\*"([0-9a-f]{32})/g)].flatMap(([, id]) => id ?? []))]
}
