import { dueAt } from '../run/open-item.ts'
import { wakeAt, type System } from '../run/system.ts'
import type { Environment } from './environment.ts'
import type { GivingUp } from './giving-up.ts'
import { dueInputs } from './inputs.ts'
import type { Mailbox } from './mailbox.ts'
import type { Turn } from './turn.ts'

/** True when something that this process can wait for moves the run: a time that is near, a child that is driven here. */
export function movesSoon(env: Environment, system: System): boolean {
  const due = wakeAt(system)
  if (due !== null && due - env.clock.now() <= env.holdMs) return true
  return env.moving(system.open.children) !== undefined
}

/**
 * True when nothing moves a run soon after this turn, and nothing is left to do: its append can give it back. One without events is
 * sent again where its answer is lost, which it must not be then.
 */
export function restsAfter(env: Environment, system: System, { events, run, more, rest, problem }: Turn): boolean {
  if (events.length === 0) return false
  return run.status === 'blocked' && !more && rest.length === 0 && problem === undefined && !movesSoon(env, system)
}

/** Waits for whatever moves the run next: its mailbox, its time, the end of a child that is driven here. */
export function nextMove(env: Environment, system: System, mailbox: Mailbox, givingUp: Moves): Promise<void> {
  const due = dueNext(env, system, givingUp)
  // One is enough: what a child brings about is posted, and when this one rests there may be another.
  void env.moving(system.open.children)?.then(() => {
    mailbox.wakeUp()
  })
  return due === null ? mailbox.wait() : waitUntil(env, due, mailbox)
}

type Moves = Pick<GivingUp, 'isDraining' | 'holds'>

/**
 * When something of it is due next. While nothing is decided, what is due may stay so: a wait that is over, but whose signal is
 * kept, is closed by a decision. That is passed over then, or the drive would look at it again and again.
 */
function dueNext({ clock }: Environment, system: System, givingUp: Moves): number | null {
  // An attempt that is not to be begun is due all the time.
  const which = givingUp.isDraining(system) ? 'waiting' : 'all'
  const due = wakeAt(system, which)
  if (due === null || !givingUp.holds(system)) return due
  const now = clock.now()
  if (due > now) return due
  const begins = (type: string): boolean => which === 'all' || type !== 'ActionAttemptStarted'
  if (dueInputs(system, now, []).some(({ draft }) => begins(draft.type))) return due
  const { cancel, open, started } = system
  const end = (cancel === undefined ? started?.deadlineAt : cancel.graceUntil) ?? Infinity
  let least = end > now ? end : Infinity
  for (const item of open.values()) {
    const at = which === 'waiting' && item.kind === 'action' ? Infinity : (dueAt(item) ?? Infinity)
    if (at > now) least = Math.min(least, at)
  }
  return least === Infinity ? null : least
}

async function waitUntil({ clock }: Environment, due: number, mailbox: Mailbox): Promise<void> {
  const timer = clock.at(due, () => {
    mailbox.wakeUp()
  })
  await mailbox.wait()
  timer.cancel()
}
