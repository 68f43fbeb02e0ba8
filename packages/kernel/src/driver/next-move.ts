import type { Timer } from '../clock.ts'
import { wakeAt, type System } from '../run/system.ts'
import type { Environment } from './environment.ts'
import type { GivingUp } from './giving-up.ts'
import type { Mailbox } from './mailbox.ts'

/** True when something that this process can wait for moves the run: a time that is near, a child that is driven here. */
export function movesSoon(env: Environment, system: System): boolean {
  const due = wakeAt(system)
  if (due !== null && due - env.clock.now() <= env.holdMs) return true
  return childrenMoving(env, system).length > 0
}

function childrenMoving(env: Environment, { open }: System): Promise<void>[] {
  const children: Promise<void>[] = []
  for (const item of open.values()) {
    const moving = item.kind === 'child' ? env.moving(item.childRunId) : undefined
    if (moving !== undefined) children.push(moving)
  }
  return children
}

/** Waits for whatever moves the run next: its mailbox, its time, the end of a child that is driven here. */
export async function nextMove(
  env: Environment,
  system: System,
  mailbox: Mailbox,
  givingUp: Pick<GivingUp, 'isDraining'>,
): Promise<void> {
  const open = [...system.open.values()]
  // An attempt that is not to be begun is due all the time.
  const due = wakeAt(system, givingUp.isDraining(system) ? open.filter(({ kind }) => kind !== 'action') : open)
  let timer: Timer | undefined
  if (due !== null) {
    const ms = Math.max(0, due - env.clock.now())
    timer = env.clock.schedule(ms, () => {
      mailbox.wakeUp()
    })
  }
  for (const child of childrenMoving(env, system)) {
    void child.then(() => {
      mailbox.wakeUp()
    })
  }
  await mailbox.wait()
  timer?.cancel()
}
