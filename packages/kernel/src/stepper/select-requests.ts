import type { ItemRequest, Requests } from '../workflow/decision.ts'
import type { Ask } from './stepper.ts'

/** Requests split by whether their items are known to the run. */
export interface Selection {
  readonly known: readonly ItemRequest[]
  /** In order, no more than the groups' concurrency leaves room for. */
  readonly fresh: readonly ItemRequest[]
}

/** Splits what a step asks for; room depends on the step's own bounds and the open items, so a replay selects alike. */
export function selectRequests(requests: Requests, ask: Pick<Ask, 'isOpen' | 'isKnown'>): Selection {
  const known: ItemRequest[] = []
  const fresh: ItemRequest[] = []
  for (const part of requests.of) {
    if (part.kind === 'requests') {
      const inner = selectRequests(part, ask)
      known.push(...inner.known)
      fresh.push(...inner.fresh)
    } else if (ask.isKnown(part.key)) known.push(part)
    else fresh.push(part)
  }
  if (requests.concurrency === undefined) return { known, fresh }
  const open = known.filter(({ key }) => ask.isOpen(key)).length
  return { known, fresh: fresh.slice(0, Math.max(0, requests.concurrency - open)) }
}

/** True when a group, or one in it, has a bound. */
export function isBounded({ concurrency, of }: Requests): boolean {
  return concurrency !== undefined || of.some((part) => part.kind === 'requests' && isBounded(part))
}
