import { z } from 'zod'
import type { AnyState } from '../definition/need.ts'
import { definePlan, type AnyPlan } from '../definition/plan.ts'
import { defineState } from '../definition/state.ts'

/** A state that needs others by their ids, and makes its own id. */
export function namedState(id: string, needs: readonly string[] = []): AnyState {
  const byId = Object.fromEntries(needs.map((need) => [need, need]))
  return defineState({ id, needs: byId, output: z.string(), run: () => id })
}

/** A plan of states that are known at run time alone. */
export function planOf(states: readonly AnyState[], id = 'p'): AnyPlan {
  return definePlan({ id, version: '1', states })
}
