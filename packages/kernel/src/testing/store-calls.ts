import type { Store } from '@varve/store'

/** What is called before a store is: it may wait, or throw instead. */
export type BeforeCall = (name: string, args: readonly unknown[]) => Promise<void> | undefined

/** A store that notes the name of every call, such as `events.append`, and passes it on. */
export function recordCalls(store: Store, calls: string[], before: BeforeCall = () => undefined): Store {
  const wrap = <Port extends object>(portName: string, port: Port): Port =>
    new Proxy(port, {
      get: (target, property) => {
        const member: unknown = Reflect.get(target, property)
        if (typeof member !== 'function') return member
        return (...args: unknown[]): unknown => {
          const name = `${portName}.${String(property)}`
          calls.push(name)
          const call = (): unknown => Reflect.apply(member, target, args)
          return before(name, args)?.then(call) ?? call()
        }
      },
    })
  return {
    ...store,
    now: wrap('store', { now: () => store.now() }).now,
    events: wrap('events', store.events),
    runs: wrap('runs', store.runs),
    inbox: wrap('inbox', store.inbox),
    snapshots: wrap('snapshots', store.snapshots),
    artifacts: wrap('artifacts', store.artifacts),
    cache: wrap('cache', store.cache),
    secrets: wrap('secrets', store.secrets),
  }
}
