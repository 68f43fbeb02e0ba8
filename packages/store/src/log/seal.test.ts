import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isStoreError, type StoreError } from '../errors.ts'
import { defaultLimits } from '../limits.ts'
import { chainHash, genesis, openEvent, sealEvent, type LogEnd } from './seal.ts'
import type { StoredEvent } from './stored-event.ts'

const sha = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex')

function errorOf(act: () => unknown): StoreError {
  try {
    act()
  } catch (error) {
    if (isStoreError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** A log of as many events, each with its place as data. */
function logOf(runId: string, length: number): StoredEvent[] {
  const log: StoredEvent[] = []
  let end = genesis(runId)
  for (let n = 1; n <= length; n++) {
    const { stored } = sealEvent(runId, end, { type: 'StateUpdated', data: { payload: n } }, 1000 + n)
    log.push(stored)
    end = { seq: stored.seq, hash: stored.hash }
  }
  return log
}

function openAll(runId: string, log: readonly StoredEvent[]): LogEnd {
  let end = genesis(runId)
  for (const event of log) {
    openEvent(end, event)
    end = { seq: event.seq, hash: event.hash }
  }
  return end
}

describe('sealing', () => {
  test('a log begins with the hash of its run id', () => {
    expect(genesis('run-1')).toEqual({ seq: 0, hash: sha('varve/1\nrun-1') })
  })

  test.for([null, undefined, 7, {}, Symbol('run')])('no log begins with what is no text: %s', (runId) => {
    expect(errorOf(() => genesis(runId as string)).code).toBe('INVALID_ARGUMENT')
  })

  test('an event carries the hash of everything before it, its envelope and its body', () => {
    const { stored } = sealEvent('run-1', genesis('run-1'), { type: 'Completed', data: { b: 1, a: 'é' } }, 1700)

    expect(stored).toEqual({
      ...{ runId: 'run-1', seq: 1, v: 1, type: 'Completed', at: 1700, body: '{"a":"é","b":1}' },
      hash: sha(`${sha('varve/1\nrun-1')}[1,1,"Completed",1700]{"a":"é","b":1}`),
    })
  })

  test('the format of the chain never changes', () => {
    const log = logOf('golden', 2)

    expect(genesis('golden').hash).toBe('341049e82827320964b8e5edc8a9534c159a3f0f13fde31282393c30cc3638d5')
    expect(log.map(({ hash }) => hash)).toEqual([
      '31b2de44f0ee512d0a2daeda6918eb399ca23253e73bd758ad5ea94655186b55',
      '551bf8c39795d3147546aeffe954877d0da28ee0765ad7e44fee980f4e488726',
    ])
  })

  test('the hash covers canonical JSON of the envelope, whatever the type is called', () => {
    const event = { v: 1, seq: 2, type: 'a "quoted"\n€', at: 5, body: '{}' }

    expect(chainHash('00', event)).toBe(sha(`00[1,2,${JSON.stringify(event.type)},5]{}`))
  })

  test('the data that everybody works with equals the parsed body', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'grapheme' }), fc.double({ noInteger: true, noNaN: true })),
        (data) => {
          fc.pre(Object.values(data).every(Number.isFinite))

          const sealed = sealEvent('r', genesis('r'), { type: 'T', data }, 0)

          expect(sealed.data).toStrictEqual(JSON.parse(sealed.stored.body))
        },
      ),
    )
  })

  test('data that JSON cannot keep is refused with a path that begins with the type', () => {
    const sealing = (): unknown => sealEvent('r', genesis('r'), { type: 'Completed', data: { output: new Date(0) } }, 0)

    expect(errorOf(sealing)).toMatchObject({ code: 'NOT_JSON', where: { path: 'Completed.output' } })
  })
})

describe('the size of a body', () => {
  const seal = (text: string): unknown => sealEvent('r', genesis('r'), { type: 'T', data: text }, 0)
  const room = defaultLimits.bodyBytes - 2

  test('may reach 1 MiB', () => {
    expect(() => seal('a'.repeat(room))).not.toThrow()
  })

  test('is refused beyond 1 MiB with run, seq and path', () => {
    expect(errorOf(() => seal('a'.repeat(room + 1)))).toMatchObject({
      code: 'LIMIT_EXCEEDED',
      where: { runId: 'r', seq: 1, path: 'T' },
    })
  })

  test('counts UTF-8 bytes, not characters', () => {
    expect(() => seal('€'.repeat(Math.floor(room / 3)))).not.toThrow()
    expect(errorOf(() => seal('€'.repeat(Math.floor(room / 3) + 1))).code).toBe('LIMIT_EXCEEDED')
    expect(errorOf(() => seal('😀'.repeat(room / 4 + 1))).code).toBe('LIMIT_EXCEEDED')
  })

  test('can be bounded otherwise', () => {
    const sealing = (): unknown =>
      sealEvent('r', genesis('r'), { type: 'T', data: 'abc' }, 0, { ...defaultLimits, bodyBytes: 4 })

    expect(errorOf(sealing).code).toBe('LIMIT_EXCEEDED')
  })
})

describe('opening', () => {
  test('a log as it was sealed opens from its first event to its last', () => {
    const log = logOf('run-1', 5)

    expect(openAll('run-1', log)).toEqual({ seq: 5, hash: log[4]!.hash })
  })

  test.for<[field: string, change: Partial<StoredEvent>]>([
    ['v', { v: 2 }],
    ['type', { type: 'DomainEvent' }],
    ['at', { at: 1003 }],
    ['body', { body: '{"payload":9}' }],
    ['hash', { hash: 'f'.repeat(64) }],
    ['seq', { seq: 3 }],
  ])('a changed %s is found', ([, change]) => {
    const log = logOf('run-1', 3)
    const changed = log.map((event) => (event.seq === 2 ? { ...event, ...change } : event))

    expect(errorOf(() => openAll('run-1', changed))).toMatchObject({ code: 'CORRUPT_LOG', where: { runId: 'run-1' } })
  })

  test('any flipped bit of a body is found', () => {
    const [event] = logOf('run-1', 1) as [StoredEvent]
    const bits = fc.tuple(fc.nat(event.body.length - 1), fc.integer({ min: 0, max: 6 }))
    fc.assert(
      fc.property(bits, ([index, bit]) => {
        const codes = Array.from(event.body, (char) => char.charCodeAt(0))
        codes[index]! ^= 1 << bit

        const opening = (): unknown => openEvent(genesis('run-1'), { ...event, body: String.fromCharCode(...codes) })

        expect(errorOf(opening).code).toBe('CORRUPT_LOG')
      }),
    )
  })

  test.for<[what: string, order: readonly number[]]>([
    ['a missing first event', [2, 3, 4]],
    ['a gap', [1, 3, 4]],
    ['a repeated event', [1, 2, 2, 3]],
    ['two events in the wrong order', [1, 3, 2, 4]],
  ])('%s is found', ([, order]) => {
    const log = logOf('run-1', 4)

    const opening = (): unknown =>
      openAll(
        'run-1',
        order.map((seq) => log[seq - 1]!),
      )

    expect(errorOf(opening).code).toBe('CORRUPT_LOG')
  })

  test('events of another run are found, and so is a log under another run id', () => {
    const log = logOf('run-1', 3)
    const other = logOf('run-2', 3)

    expect(errorOf(() => openAll('run-1', [log[0]!, other[1]!])).code).toBe('CORRUPT_LOG')
    expect(errorOf(() => openAll('run-2', log)).code).toBe('CORRUPT_LOG')
  })

  test('an event of a later format says to upgrade', () => {
    const end = genesis('run-1')
    const event = { runId: 'run-1', seq: 1, v: 2, type: 'T', at: 1, body: '{}' }
    const stored = { ...event, hash: chainHash(end.hash, event) }

    expect(errorOf(() => openEvent(end, stored))).toMatchObject({
      code: 'NEWER_FORMAT',
      where: { runId: 'run-1', seq: 1 },
    })
  })

  test('a body that is no JSON is found, although its hash fits, by whoever asks what it says', () => {
    const end = genesis('run-1')
    const event = { runId: 'run-1', seq: 1, v: 1, type: 'T', at: 1, body: '{"a":' }
    const stored = { ...event, hash: chainHash(end.hash, event) }

    const opened = openEvent(end, stored)
    const error = errorOf(() => opened.data)

    expect(opened.stored).toBe(stored)
    expect(error).toMatchObject({ code: 'CORRUPT_LOG', where: { runId: 'run-1', seq: 1 } })
    expect(error.cause).toBeInstanceOf(SyntaxError)
  })
})
