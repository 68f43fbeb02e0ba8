import type { EventData } from '../log/event-data.ts'
import type { Fact, OpenAction } from './item.ts'
import type { System } from './system.ts'

/** Where a fact is kept: one of scope `attempt` is its action's own. */
export type FactSlot = Pick<EventData['FactRecorded'], 'key' | 'scope' | 'actionKey'>

/** What is recorded there; undefined when nothing is, or not any more. */
export function findFact(
  system: Pick<System, 'facts' | 'open'>,
  { key, scope, actionKey }: FactSlot,
): Fact | undefined {
  if (scope === 'run') return system.facts?.get(key)
  const item = system.open.get(actionKey)
  const facts = item?.kind === 'action' ? item.facts : undefined
  return facts !== undefined && Object.hasOwn(facts, key) ? facts[key] : undefined
}

/** The action with one more fact of its attempt. Many facts would make copying quadratic: the first one's record grows. */
export function withFact(item: OpenAction, key: string, fact: Fact): OpenAction {
  const facts = item.facts ?? {}
  // Not an assignment, which would take the name `__proto__` for something else; out of a snapshot it is a plain object.
  Object.defineProperty(facts, key, { value: fact, writable: true, enumerable: true, configurable: true })
  return item.facts === undefined ? { ...item, facts } : item
}
