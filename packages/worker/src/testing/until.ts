import { setImmediate } from 'node:timers/promises'

/** Turns of the event loop after which what did not come is not coming. */
const TURNS = 20_000

/** Lets everything happen that waits for no clock, until something holds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) {
    if (await holds()) return
    await setImmediate()
  }
  throw new Error('what the test waits for did not come')
}
