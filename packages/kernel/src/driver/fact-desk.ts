import { AsyncLocalStorage } from 'node:async_hooks'
import { canonicalJson, checkId, genesis, sealEvent, sha256, type Json, type Limits } from '@varve/store'
import { artifactsIn, checkArtifactCount } from '../artifacts/artifacts-in.ts'
import { KernelError } from '../errors.ts'
import { copyJson } from '../log/copy-json.ts'
import type { LogDraft, LogEvent } from '../log/log-event.ts'
import type { FactSlot } from '../run/facts.ts'
import type { Fact } from '../run/item.ts'
import type { FactOptions } from '../workflow/action.ts'

/** A fact on its way to the log. */
export type FactDraft = Extract<LogDraft, { type: 'FactRecorded' }>

/** An attempt that asks for a fact. */
export interface Asker {
  readonly actionKey: string
  /** Aborted when the attempt is over, however it ended. */
  readonly signal: AbortSignal
}

/** What the desk needs of its drive. */
export interface FactDeskParts {
  readonly runId: string
  readonly limits: Limits
  /** What is folded; the desk tells what of it is durable. */
  readonly find: (slot: FactSlot) => Fact | undefined
  /** Takes facts for the next append. */
  readonly put: (facts: readonly FactDraft[]) => void
}

/** A fact that is asked for and not durable yet. */
interface Pending {
  readonly id: string
  readonly requestHash: string
  readonly waiting: Set<Waiting>
  /** The latest one; absent when one is over. */
  reading?: Reading
  /** What was read. */
  value?: Json
  /** True when it is on its way to the log. */
  sent: boolean
}

/** One call of what an asker gave to read a fact with. */
interface Reading {
  readonly of: Pending
  readonly by: Waiting
  /** Facts that it has asked for. */
  readonly waitsFor: Set<Pending>
}

interface Waiting {
  readonly slot: FactSlot
  readonly read: () => unknown
  readonly signal: AbortSignal
  readonly resolve: (value: Json) => void
  readonly reject: (reason: Error) => void
}

/** Keys that begin so are the kernel's own. */
const RESERVED = 'varve:'

/** A fact may be recorded for another asker than the first: room in its body for the longest key. */
const KEY_BYTES = 800

/** What a fact is being read by. */
const current = new AsyncLocalStorage<Reading>()

/** Where the handlers of one drive ask the outside world: each fact is read once, and seen when it is durable. */
export class FactDesk {
  readonly #parts: FactDeskParts
  /** There once something was asked: most handlers ask for nothing. */
  #pending: Map<string, Pending> | undefined
  /** Read since the last tick. */
  #answered: Pending[] = []

  constructor(parts: FactDeskParts) {
    this.#parts = parts
  }

  /**
   * The recorded value, or else what `read` answers as soon as that is recorded.
   *
   * @throws KernelError `INVALID_INPUT` | `FACT_MISMATCH` | `FACT_CYCLE`; StoreError `NOT_JSON` | `LIMIT_EXCEEDED`; what `read`
   * throws; why the attempt was aborted.
   */
  async ask(asker: Asker, key: string, read: () => unknown, options: FactOptions = {}): Promise<Json> {
    const { scope = 'run', request = null } = options
    this.#checkKey(key, scope)
    const slot = { key, scope, actionKey: asker.actionKey }
    const requestHash = sha256(canonicalJson(request, { name: `the request of fact ${key}` }))
    const id = idOf(slot)
    this.#pending ??= new Map()
    const pending = this.#pending.get(id)
    const known = pending ?? this.#parts.find(slot)
    if (known !== undefined && known.requestHash !== requestHash) throw this.#mismatch(slot)
    asker.signal.throwIfAborted()
    if (pending !== undefined) return this.#wait(pending, { slot, read }, asker)
    if (known !== undefined) return copyJson(known.value as Json)
    const begun: Pending = { id, requestHash, waiting: new Set(), sent: false }
    this.#pending.set(id, begun)
    const value = this.#wait(begun, { slot, read }, asker)
    this.#readBy(begun)
    return value
  }

  /** Gives out what has become durable. */
  recorded(events: readonly LogEvent[]): void {
    for (const event of events) {
      if (event.type !== 'FactRecorded') continue
      const id = idOf(event.data)
      const pending = this.#pending?.get(id)
      this.#pending?.delete(id)
      for (const { resolve } of pending?.waiting ?? []) resolve(copyJson(event.data.value))
    }
  }

  /** Takes back a fact whose attempt is over: it is recorded for another that waits for it, or forgotten. */
  refused({ data }: FactDraft): void {
    const pending = this.#pending?.get(idOf(data))
    if (pending === undefined) return
    for (const each of pending.waiting) if (each.slot.actionKey === data.actionKey) pending.waiting.delete(each)
    this.#answer(pending)
  }

  #checkKey(key: string, scope: string): void {
    const { runId } = this.#parts
    checkId('the key of a fact', key)
    if (key.startsWith(RESERVED)) {
      throw new KernelError('INVALID_INPUT', `keys of facts do not begin with ${RESERVED}: ${key}`, { runId, key })
    }
    if (scope === 'run' || scope === 'attempt') return
    const text = `the scope of fact ${key} must be run or attempt, got ${scope}`
    throw new KernelError('INVALID_INPUT', text, { runId, key })
  }

  #wait(pending: Pending, asked: Pick<Waiting, 'slot' | 'read'>, { signal }: Asker): Promise<Json> {
    const { key } = asked.slot
    const reader = current.getStore()
    // Nobody waits for a reading that another one was begun beside.
    const awaited = reader?.of.reading === reader ? reader : undefined
    if (awaited !== undefined && reaches(pending, awaited.of)) {
      const { runId } = this.#parts
      throw new KernelError('FACT_CYCLE', `the reading of fact ${key} waits for itself`, { runId, key })
    }
    awaited?.waitsFor.add(pending)
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        pending.waiting.delete(waiting)
        // What nobody waits for any more may never be answered: the next one to ask has it read anew.
        if (pending.waiting.size === 0 && !pending.sent) this.#forget(pending)
        // Its reading may end with it, or never: the others do not depend on that.
        else if (pending.reading?.by === waiting) this.#readBy(pending)
        reject(signal.reason as Error)
      }
      const done = (): void => {
        signal.removeEventListener('abort', abort)
      }
      const waiting: Waiting = {
        ...asked,
        signal,
        resolve: (value) => {
          done()
          resolve(value)
        },
        reject: (reason) => {
          done()
          reject(reason)
        },
      }
      pending.waiting.add(waiting)
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  /** Has a fact read by the first that waits for it and is not about to give up, too. */
  #readBy(pending: Pending): void {
    const by = [...pending.waiting].find(({ signal }) => !signal.aborted)
    if (by === undefined) return
    pending.reading = { of: pending, by, waitsFor: new Set() }
    void this.#read(pending, pending.reading)
  }

  async #read(pending: Pending, reading: Reading): Promise<void> {
    const { slot, read } = reading.by
    try {
      const value = this.#checked(slot, pending, await current.run(reading, async () => read()))
      // Of several readings the first answer counts.
      if (pending.reading === undefined) return
      pending.value = value
      delete pending.reading
    } catch (error) {
      if (pending.reading !== reading) return
      delete pending.reading
      this.#forget(pending)
      for (const { reject } of pending.waiting) reject(error as Error)
      return
    }
    this.#answer(pending)
  }

  /** A value as the log will hold it. @throws StoreError `NOT_JSON` | `LIMIT_EXCEEDED`. */
  #checked(slot: FactSlot, { requestHash }: Pending, value: unknown): Json {
    const { runId, limits } = this.#parts
    const draft = { type: 'FactRecorded', data: { ...slot, requestHash, value: value ?? null } }
    const bodyBytes = Math.max(1, limits.bodyBytes - KEY_BYTES)
    const { stored, data } = sealEvent(runId, genesis(runId), draft, 0, { ...limits, bodyBytes })
    checkArtifactCount(artifactsIn(stored.body), `the fact ${slot.key}`, { runId })
    return (data as { readonly value: Json }).value
  }

  /** Facts that are read in one tick share an append. */
  #answer(pending: Pending): void {
    this.#answered.push(pending)
    if (this.#answered.length > 1) return
    setImmediate(() => {
      const answered = this.#answered
      this.#answered = []
      this.#parts.put(answered.flatMap((each) => this.#draftOf(each) ?? []))
    })
  }

  #draftOf(pending: Pending): FactDraft | undefined {
    const { waiting, requestHash, value = null } = pending
    const [first] = waiting
    pending.sent = first !== undefined
    if (first !== undefined) return { type: 'FactRecorded', data: { ...first.slot, requestHash, value } }
    this.#forget(pending)
    return undefined
  }

  /** Another one may have been begun in its place. */
  #forget(pending: Pending): void {
    if (this.#pending?.get(pending.id) === pending) this.#pending.delete(pending.id)
  }

  #mismatch({ key }: FactSlot): KernelError {
    const text = `fact ${key} is asked for with another request than before; give it another key, or the same request`
    return new KernelError('FACT_MISMATCH', text, { runId: this.#parts.runId, key })
  }
}

/** True when the reading of a fact waits for another one, or is that: what waits for itself would wait for ever. */
function reaches(from: Pending, to: Pending, seen = new Set<Pending>()): boolean {
  if (from === to) return true
  if (seen.has(from)) return false
  seen.add(from)
  for (const next of from.reading?.waitsFor ?? []) if (reaches(next, to, seen)) return true
  return false
}

/** Ids have no control characters, so no two slots meet. */
function idOf({ key, scope, actionKey }: FactSlot): string {
  return scope === 'run' ? key : `${actionKey}\n${key}`
}
