import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OpenAction, OpenItem } from './item.ts'
import { dueAt } from './open-item.ts'
import { OpenItems } from './open-items.ts'

const time = fc.nat(6)
const fireAt = fc.option(
  time.map((fireAt) => ({ fireAt })),
  { nil: {} },
)

/** How an action stands: under way, in doubt, to be tried again at a time or at once. */
const standing = fc.oneof(
  fc.constant({ attempting: true, inDoubt: false }),
  fc.constant({ attempting: false, inDoubt: true }),
  fc.constant({ attempting: false, inDoubt: false }),
  time.map((retryAt) => ({ attempting: false, inDoubt: false, retryAt })),
)

const action = fc.record({ effect: fc.constantFrom('idempotent' as const, 'at-most-once' as const), standing })

type Body = OpenItem extends infer I ? (I extends OpenItem ? Omit<I, 'key' | 'seq' | 'fingerprint'> : never) : never

const body: fc.Arbitrary<Body> = fc.oneof(
  action.map(({ effect, standing }) => ({
    ...({ kind: 'action', action: 'call', request: { input: null }, attempt: 1, failures: 0, effect } as const),
    ...standing,
  })),
  time.map((fireAt) => ({ kind: 'timer', fireAt }) as const),
  fc.record({ signal: fc.constantFrom('a', 'b'), end: fireAt }).map(({ signal, end }) => {
    return { kind: 'wait', signal, ...end } as const
  }),
  fireAt.map((end) => ({ kind: 'interrupt', interrupt: 'ask', value: null, ...end }) as const),
  fc.nat({ max: 2 }).map((n) => ({ kind: 'child', childRunId: `run-${n}`, workflow: 'w' }) as const),
)

type Command =
  | { readonly do: 'open'; readonly body: Body }
  | {
      readonly do: 'move'
      readonly which: number
      readonly to: { readonly attempting: boolean; readonly inDoubt: boolean }
    }
  | { readonly do: 'close'; readonly which: number }

const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('open' as const), body }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), which: fc.nat(), to: standing }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('close' as const), which: fc.nat() }) },
  ),
  { maxLength: 60, size: 'max' },
)

function moved({ retryAt: _retryAt, ...item }: OpenAction, to: object): OpenAction {
  return { ...item, ...to }
}

/** What a look at all of them answers. */
class Model {
  readonly items = new Map<string, OpenItem>()

  #which(is: (item: OpenItem) => boolean): OpenItem[] {
    return [...this.items.values()].filter(is)
  }

  isAttempting(which: 'any' | 'once'): boolean {
    const effects = which === 'any' ? ['idempotent', 'at-most-once'] : ['at-most-once']
    return this.#which((item) => item.kind === 'action' && item.attempting && effects.includes(item.effect)).length > 0
  }

  movesAt(which: 'all' | 'waiting'): number {
    const items = this.#which(({ kind }) => which === 'all' || kind !== 'action')
    return Math.min(...items.map((item) => dueAt(item) ?? Infinity))
  }

  due(now: number): OpenItem[] {
    return this.#which((item) =>
      item.kind === 'action'
        ? !item.attempting && !item.inDoubt && (item.retryAt ?? 0) <= now
        : (dueAt(item) ?? Infinity) <= now,
    )
  }

  listed(others: number): OpenItem[] {
    let left = others
    return this.#which((item) => item.kind === 'interrupt' || (item.kind === 'action' && item.inDoubt) || left-- > 0)
  }

  inDoubt(): OpenItem[] {
    return this.#which((item) => item.kind === 'action' && item.inDoubt)
  }

  waits(signal: string): OpenItem[] {
    return this.#which((item) => item.kind === 'wait' && item.signal === signal)
  }

  children(): string[] {
    return this.#which(({ kind }) => kind === 'child').map((item) => (item.kind === 'child' ? item.childRunId : ''))
  }
}

function expectAlike(items: OpenItems, model: Model): void {
  expect([...items]).toEqual([...model.items])
  expect([...items.values()]).toEqual([...model.items.values()])
  expect([...items.keys()]).toEqual([...model.items.keys()])
  expect(items.size).toBe(model.items.size)
  for (const which of ['any', 'once'] as const) expect(items.isAttempting(which)).toBe(model.isAttempting(which))
  for (const which of ['all', 'waiting'] as const) expect(items.movesAt(which)).toBe(model.movesAt(which))
  for (const now of [0, 3, 6]) expect(items.due(now)).toEqual(model.due(now))
  for (const others of [0, 1, 3, 100]) expect(items.listed(others)).toEqual(model.listed(others))
  expect(new Set(items.inDoubt())).toEqual(new Set(model.inDoubt()))
  for (const signal of ['a', 'b', 'c']) {
    const waits = model.waits(signal)
    expect(items.firstWait(signal)).toEqual(waits[0])
    expect(items.waitsFor(signal)).toBe(waits.length)
  }
  expect(new Set(items.children.keys())).toEqual(new Set(model.children()))
}

describe('open items', () => {
  test('answer what a look at all of them would, whatever opens, moves and closes', () => {
    const play = (given: readonly Command[]): void => {
      const items = new OpenItems()
      const model = new Model()
      const put = (item: OpenItem): void => {
        items.put(item)
        model.items.set(item.key, item)
      }
      given.forEach((command, at) => {
        const all = [...model.items.values()]
        const chosen = command.do === 'open' ? undefined : all[command.which % all.length]
        if (command.do === 'open') put({ ...command.body, key: `${at}`, seq: at, fingerprint: '' })
        else if (chosen === undefined) return
        else if (command.do === 'close') {
          items.delete(chosen.key)
          model.items.delete(chosen.key)
        } else if (chosen.kind === 'action') put(moved(chosen, command.to))
        expect(items.get(`${at}`)).toEqual(model.items.get(`${at}`))
        expect(items.has(chosen?.key ?? '')).toBe(model.items.has(chosen?.key ?? ''))
        expectAlike(items, model)
      })
    }

    fc.assert(fc.property(commands, play), { numRuns: 200 })
  })

  test('know nothing of a key that is not open', () => {
    const items = new OpenItems()

    items.delete('nothing')

    expect(items.get('nothing')).toBeUndefined()
    expect(items.movesAt()).toBe(Infinity)
  })
})
