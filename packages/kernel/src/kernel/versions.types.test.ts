import { describe, expectTypeOf, test } from 'vitest'
import type { EventData } from '../log/event-data.ts'
import type { LogEvent } from '../log/log-event.ts'
import type { ReduceEvent, WorkflowTypes } from '../workflow/reduce-event.ts'
import type { Kernel } from './kernel.ts'

// Nothing here runs: what is asked is whether it compiles.

describe('versions and forks are typed', () => {
  test('a migration says where to', () => {
    const asks = async (kernel: Kernel): Promise<void> => {
      await kernel.migrate('r', { to: '2' })
      await kernel.migrate('r', { to: '2', wait: false, initialState: { n: 0 } })
      // @ts-expect-error no version
      await kernel.migrate('r', {})
      // @ts-expect-error versions are texts
      await kernel.migrate('r', { to: 2 })
    }
    expectTypeOf(asks).returns.resolves.toBeVoid()
  })

  test('a fork may say its version, and whether it reuses', () => {
    const asks = async (kernel: Kernel): Promise<void> => {
      await kernel.fork('r', { at: 1, version: '2', reuse: true })
      // @ts-expect-error reuse is no list of keys
      await kernel.fork('r', { at: 1, reuse: ['a'] })
      // @ts-expect-error a fork begins somewhere
      await kernel.fork('r', { reuse: true })
    }
    expectTypeOf(asks).returns.resolves.toBeVoid()
  })

  test('the log tells where a result was taken from; a reducer sees a success like any other', () => {
    type Seen = ReduceEvent<WorkflowTypes>['type']

    expectTypeOf<EventData['ActionReused']['from']>().toEqualTypeOf<{ runId: string; seq: number }>()
    expectTypeOf<Extract<LogEvent, { type: 'Migrated' }>['data']>().toEqualTypeOf<EventData['Migrated']>()
    expectTypeOf<Extract<Seen, 'ActionReused' | 'Migrated'>>().toBeNever()
    expectTypeOf<Extract<Seen, 'ActionSucceeded'>>().toEqualTypeOf<'ActionSucceeded'>()
  })
})
