import { wakeAt, type System } from '../run/system.ts'
import type { Environment } from './environment.ts'
import type { GivingUp } from './giving-up.ts'
import type { Mailbox } from './mailbox.ts'

/** True when something that this process can wait for moves the run: a time that is near, a child that is driven here. */
export function movesSoon(env: Environment, system: System): boolean {
  const due = wakeAt(system)
  if (due !== null && due - env.clock.now() <= env.holdMs) return true
  return env.moving(system.open.children) !== undefined
}

/** Waits for whatever moves the run next: its mailbox, its time, the end of a child that is driven here. */
export function nextMove(
  env: Environment,
  system: System,
  mailbox: Mailbox,
  givingUp: Pick<GivingUp, 'isDraining'>,
): Promise<void> {
  // An attempt that is not to be begun is due all the time.
  const due = wakeAt(system, givingUp.isDraining(system) ? 'waiting' : 'all')
  // One is enough: what a child brings about is posted, and when this one rests there may be another.
  void env.moving(system.open.children)?.then(() => {
    mailbox.wakeUp()
  })
  return due === null ? mailbox.wait() : waitUntil(env, due, mailbox)
}

async function waitUntil({ clock }: Environment, due: number, mailbox: Mailbox): Promise<void> {
  const timer = clock.schedule(Math.max(0, due - clock.now()), () => {
    mailbox.wakeUp()
  })
  await mailbox.wait()
  timer.cancel()
}
