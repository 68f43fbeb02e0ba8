import type { Notifications } from '@varve/store'
import type { Listener, Memory } from './memory.ts'

/** Calls listeners soon after each commit. */
export function memoryNotifications(memory: Memory): Notifications {
  return {
    subscribe: (listener) => {
      memory.checkOpen()
      // Wrapped, because the same function may be subscribed twice and each subscription ends by itself.
      const subscription: Listener = (change) => listener(change)
      memory.listeners.add(subscription)
      return {
        [Symbol.asyncDispose]: async () => {
          memory.listeners.delete(subscription)
        },
      }
    },
  }
}
