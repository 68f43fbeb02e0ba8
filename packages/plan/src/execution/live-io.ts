import type { ActionContext, FactOptions } from '@varve/kernel'
import { checkNames, checkOptions, type Json } from '@varve/store'
import type { Io } from '../definition/io.ts'
import { asDefinition, PlanError } from '../errors.ts'
import type { TransportRegistry } from './transport-registry.ts'

/** Keys of facts that are the engine's own. */
const OWN_FACTS = 'plan:'

/** The doors of a state that runs: what is asked through them becomes the action's facts. */
export function liveIo(ctx: ActionContext, transports: TransportRegistry): Io {
  const drawn = { now: 0, random: 0, uuid: 0 }
  let unrecorded = 0
  const draw = async (what: keyof typeof drawn, make: () => string | number): Promise<string | number> =>
    ctx.fact(drawnFact(what, drawn[what]++), make, { scope: 'attempt' })
  const fact = async (key: string, read: () => Json | PromiseLike<Json>, options?: FactOptions): Promise<Json> => {
    checkFactKey(key)
    return ctx.fact(key, read, options)
  }
  return {
    fact: fact as Io['fact'],
    now: async () => draw('now', ctx.now) as Promise<number>,
    random: async () => draw('random', ctx.random) as Promise<number>,
    uuid: async () => draw('uuid', ctx.uuid) as Promise<string>,
    call: async (name, request, options = {}) => {
      // Without its fact a call would be sent again after a crash.
      asDefinition(checkOptions, 'what io.call is given last', options)
      asDefinition(checkNames, 'io.call', options, { fact: true })
      const send = async (part: string): Promise<Json> => {
        const { signal } = ctx
        return transports.get(name).call(request, { signal, idempotencyKey: `${ctx.idempotencyKey}-${part}` })
      }
      if (options.fact === undefined) return send(String(unrecorded++))
      return fact(options.fact, async () => send(`fact-${options.fact}`), { request: callRequest(name, request) })
    },
  }
}

/** What a recorded call is told apart by. */
export function callRequest(transport: string, request: Json): Json {
  return { transport, request }
}

/** The key of what a state has drawn, by its place in the sequence of an attempt. */
export function drawnFact(what: 'now' | 'random' | 'uuid', ordinal: number): string {
  return `${OWN_FACTS}${what}:${ordinal}`
}

/** @throws PlanError `INVALID_DEFINITION`. */
function checkFactKey(key: string): void {
  // What is no text the kernel refuses.
  if (typeof (key as unknown) !== 'string' || !key.startsWith(OWN_FACTS)) return
  throw new PlanError(
    'INVALID_DEFINITION',
    `the fact ${key} begins with ${OWN_FACTS}, which is the engine's; rename it`,
  )
}
