import { shown, type Json } from '@varve/store'
import { PlanError } from '../errors.ts'
import type { Transport } from '../transports/transport.ts'

/** How transports are made, by the names that states call them by. Each is made once, when it is first called. */
export type TransportFactories = Readonly<Record<string, () => Transport<never, Json>>>

/** The transports of an engine. */
export interface TransportRegistry {
  /** @throws PlanError `TRANSPORT_MISSING` | `INVALID_DEFINITION` for what is made and is none. */
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
      if (typeof (transport as Partial<Transport<Json, Json>> | null | undefined)?.call !== 'function') {
        const text = `transports.${name} of createEngine must make a transport, an object with call, got ${shown(transport)}`
        throw new PlanError('INVALID_DEFINITION', text)
      }
      made.set(name, transport)
      return transport
    },
  }
}
