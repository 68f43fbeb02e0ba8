import type { Json } from '@varve/store'
import { PlanError } from '../errors.ts'
import type { Transport } from '../transports/transport.ts'

/** How transports are made, by the names that states call them by. Each is made once, when it is first called. */
export type TransportFactories = Readonly<Record<string, () => Transport<never, Json>>>

/** The transports of an engine. */
export interface TransportRegistry {
  /** @throws PlanError `TRANSPORT_MISSING`. */
  readonly get: (name: string) => Transport<Json, Json>
}

/** Transports that are made when they are first called. */
export function transportRegistry(factories: TransportFactories): TransportRegistry {
  const made = new Map<string, Transport<Json, Json>>()
  return {
    get: (name) => {
      const known = made.get(name)
      if (known !== undefined) return known
      const factory = Object.hasOwn(factories, name) ? factories[name] : undefined
      if (factory === undefined) {
        const names = Object.keys(factories).join(', ')
        const text = `there is no transport ${JSON.stringify(name)} (registered: ${names === '' ? 'none' : names})`
        throw new PlanError('TRANSPORT_MISSING', `${text}; add it to the transports of createEngine`)
      }
      // A transport checks its requests itself.
      const transport = factory() as Transport<Json, Json>
      made.set(name, transport)
      return transport
    },
  }
}
