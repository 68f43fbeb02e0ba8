import { canonicalJson } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ClosedItems, type SavedItems } from './closed-items.ts'
import { fingerprint, fingerprintOfText, type ClosedItem } from './item.ts'

const kind = fc.constantFrom<ClosedItem['kind']>('action', 'timer', 'wait', 'interrupt', 'child')
const item: fc.Arbitrary<ClosedItem> = fc.record(
  {
    kind,
    name: fc.constantFrom('a', 'b', 'b\tc', 'timer a'),
    fingerprint: fc.oneof(fc.nat(), fc.array(fc.string({ unit: 'grapheme' }), { size: 'medium' })).map(fingerprint),
    error: fc.record({ message: fc.string({ unit: 'grapheme' }), kind: fc.constant('permanent' as const) }),
  },
  { requiredKeys: ['kind', 'name', 'fingerprint'] },
)

/** Keys of which many are the beginning or the end of another, or would be taken for the form in which it is kept. */
const key = fc.oneof(
  fc
    .array(fc.constantFrom('a', '"', '\\', '\t', '\n', '\u0000', '😀'), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join('')),
  fc.nat(15).map((n) => `step ${n}`),
)

type Command =
  | { readonly do: 'add' | 'get' | 'has'; readonly key: string; readonly item: ClosedItem }
  | { readonly do: 'save'; readonly part: number; readonly load: boolean }

const commands = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constantFrom('add' as const, 'get' as const, 'has' as const), key, item }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('save' as const),
        part: fc.constantFrom(0, 0.5, 0.9, 1),
        load: fc.boolean(),
      }),
    },
  ),
  { maxLength: 80, size: 'max' },
)

function throughText(items: ClosedItems, count: number): ClosedItems {
  return new ClosedItems(JSON.parse(JSON.stringify(items.saved(count))) as SavedItems)
}

describe('closed items', () => {
  test('answer what a map answers, wherever they are saved and loaded in between', () => {
    const play = (given: readonly Command[]): void => {
      let items = new ClosedItems()
      let model = new Map<string, ClosedItem>()
      let saved = 0
      for (const command of given) {
        if (command.do === 'save') {
          saved += Math.round(command.part * (model.size - saved))
          const first = new Map([...model].slice(0, saved))
          const loaded = throughText(items, saved)
          expect(new Map(throughText(items, saved))).toEqual(first)
          if (!command.load) continue
          items = loaded
          model = first
        } else if (command.do === 'add') {
          if (model.has(command.key)) continue
          items.add(command.key, command.item)
          model.set(command.key, command.item)
        } else if (command.do === 'has') expect(items.has(command.key)).toBe(model.has(command.key))
        else expect(items.get(command.key)).toEqual(model.get(command.key))
        expect(items.size).toBe(model.size)
      }
      expect(new Map(items)).toEqual(model)
    }

    fc.assert(fc.property(commands, play), { numRuns: 500 })
  })

  const stepOf = (n: number): ClosedItem => ({ kind: 'action', name: 'work', fingerprint: `${n}` })
  const many = (count: number): ClosedItems => {
    const items = new ClosedItems()
    for (let n = 0; n < count; n++) items.add(`step ${n}`, stepOf(n))
    return items
  }

  test('are all found out of text, and nothing else is', () => {
    const items = throughText(many(3000), 3000)

    for (let n = 0; n < 3000; n++) expect(items.get(`step ${n}`)).toEqual(stepOf(n))
    for (let n = 3000; n < 6000; n++) expect(items.has(`step ${n}`)).toBe(false)
  })

  test('of a snapshot are found by every release: the format stays', () => {
    const items = new ClosedItems()
    items.add('a', { kind: 'action', name: 'work', fingerprint: '{"n":1}' })
    items.add('b', { kind: 'wait', name: 'go', fingerprint: 'null' })
    items.add('"', { kind: 'action', name: 'work', fingerprint: '1', error: { message: 'no', kind: 'permanent' } })

    expect(items.saved(3)).toEqual({
      count: 3,
      names: [
        ['action', 'work'],
        ['wait', 'go'],
      ],
      bins: [
        [44, 'a\t0\t{"n":1}\n'],
        [229, 'b\t1\tnull\n'],
        [165, '"\\""\t0\t1\t{"message":"no","kind":"permanent"}\n'],
      ],
    })
  })

  test('are not written again: what is saved later has what was saved before, as it was', () => {
    const items = throughText(many(2000), 2000)
    const before = new Map(items.saved(2000).bins)

    items.add('step 2000', stepOf(2000))
    const after = items.saved(2001).bins

    const changed = after.filter(([bin, lines]) => before.get(bin) !== lines)
    expect(changed.map(([bin, lines]) => lines.replace(before.get(bin) ?? '', ''))).toEqual(['step 2000\t0\t2000\n'])
  })

  test('keep no long text of an input when they are saved', () => {
    const items = new ClosedItems()
    const text = canonicalJson({ note: 'x'.repeat(200) })
    items.add('a', { ...stepOf(1), fingerprint: text })

    const { bins } = items.saved(1)

    expect(items.get('a')?.fingerprint).toBe(fingerprintOfText(text))
    expect(bins[0]?.[1]).toBe(`a\t0\t${fingerprintOfText(text)}\n`)
  })

  test('that are saved stay as they are when others close', () => {
    const items = new ClosedItems()
    items.add('a', { ...stepOf(1), name: 'first' })
    const saved = items.saved(1)
    const before = structuredClone(saved)

    items.add('b', { ...stepOf(2), name: 'second' })
    items.saved(2)

    expect(saved).toEqual(before)
  })

  test('are not saved with fewer than before, for they are in no order then', () => {
    const items = many(3)
    items.saved(2)

    expect(() => items.saved(1)).toThrow(RangeError)
  })

  test.for<[what: string, saved: unknown]>([
    ['nothing', null],
    ['a list of items', [{ kind: 'action', name: 'a', fingerprint: '', key: 'k' }]],
    ['no bins', { count: 1, names: [] }],
    ['no count', { names: [], bins: [] }],
    ['no names', { count: 0, bins: [] }],
  ])('are not made of %s', ([, saved]) => {
    expect(() => new ClosedItems(saved as SavedItems)).toThrow(TypeError)
  })
})
