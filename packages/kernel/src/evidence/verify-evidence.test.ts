import { generateKeyPairSync, sign as signBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { chainHash, genesis, sealEvent, type Json, type StoredEvent } from '@varve/store'
import { memoryStore } from '@varve/store-memory'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { createKernel, type Kernel } from '../kernel/kernel.ts'
import { bundleOf, closed, forge, linesOf } from '../testing/bundles.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { runGenerations } from '../testing/generations.ts'
import { goldenWorkflows, runGolden, sum } from '../testing/golden.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { readLog, runStarted, sealLog, writeLog } from '../testing/sealed-log.ts'
import { recordCalls } from '../testing/store-calls.ts'
import { bundleText, parseBundleLine, type BundleLine, type RunFacts } from './bundle-line.ts'
import { verifyEvidence, type VerifyEvidenceOptions } from './verify-evidence.ts'
import { verifyHistories } from './verify-histories.ts'

const ann = generateKeyPairSync('ed25519')
const bob = generateKeyPairSync('ed25519')

let kernel: Kernel
let store: Awaited<ReturnType<typeof runGolden>>['store']
/** The run `rich`, unsigned and signed by ann. */
let rich: string
let signed: string

beforeAll(async () => {
  ;({ kernel, store } = await runGolden())
  rich = await bundleOf(kernel, 'rich')
  signed = await bundleOf(kernel, 'rich', { sign: ann.privateKey })
})

const byAnn = { trustedKeys: [bob.publicKey, ann.publicKey] }

/** A bundle of one run with these events, whose lines and chain fit. */
function bundleWith(events: readonly StoredEvent[], facts: Partial<RunFacts> = {}): string {
  const { runId, seq, hash } = events.at(-1)!
  const named = { runId, workflow: 'sum', version: '1', tags: [], queue: 'default', createdAt: 0 }
  return closed([
    { kind: 'header', runId, children: false, artifacts: true },
    { kind: 'run', facts: { ...named, head: seq, hash, forks: [], ...facts } },
    ...events.map((event) => ({ kind: 'event' as const, event })),
  ])
}

describe('a bundle', () => {
  test('of any run is verified, and says that nothing anchors it', async () => {
    for (const runId of ['sum', 'rich', 'parent', 'rich-fork']) {
      const { status, head, hash } = await kernel.replay(runId)
      const { workflow, version } = await kernel.get(runId)

      expect(await verifyEvidence(await bundleOf(kernel, runId))).toMatchObject({
        ...{ ok: true, runId, anchored: 'unanchored' },
        runs: [{ runId, workflow, version, status, head, hash, anchored: 'unanchored' }],
      })
    }
  })

  test('holds the events as they are stored, each in a line as in a plain history', async () => {
    const events = await readLog(store, 'rich')

    expect(linesOf(rich).slice(2, -1)).toEqual(events.map((event) => `${JSON.stringify(event)}\n`))
  })

  test('of the same log is the same, byte for byte', async () => {
    expect(await bundleOf(kernel, 'rich')).toBe(rich)
  })

  test('ends where the log ended when it was begun', async () => {
    const clock = manualClock()
    const running = createKernel({ store: memoryStore({ now: clock.now }), workflows: goldenWorkflows, clock })
    await running.start(sum, [1, 2, 3], { runId: 'r', wait: false })
    const writing = running.exportEvidence('r')
    const begun = await writing.next()

    await running.run('r')
    const rest = await Array.fromAsync(writing)

    expect(await verifyEvidence([begun.value as string, ...rest])).toMatchObject({
      ...{ ok: true },
      runs: [{ head: 1, status: 'running' }],
    })
  })

  test('of a run that is not there is refused, also when it is removed meanwhile', async () => {
    const gone = await runGolden()
    const writing = gone.kernel.exportEvidence('sum')
    await writing.next()
    await gone.store.runs.remove('sum', { ifTerminal: true })

    await expect(Array.fromAsync(writing)).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await expect(bundleOf(kernel, 'nobody')).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
  })

  test('is written as it is read, one event at a time', async () => {
    let read = 0
    const events: typeof store.events = {
      append: (...args) => store.events.append(...args),
      read: async function* (...args) {
        for await (const event of store.events.read(...args)) {
          read++
          yield event
        }
      },
    }
    const writing = createKernel({ store: { ...store, events }, workflows: [] }).exportEvidence('rich')
    const { head } = await store.runs.find('rich').then((row) => row!)

    for (let i = 0; i < 3; i++) await writing.next()

    expect(read).toBe(head + 1)
    await writing.return()
  })

  test('is verified in whatever pieces it comes', async () => {
    const whole = await verifyEvidence(rich)
    const bytes = Buffer.from(rich)

    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: bytes.length })), async (cuts) => {
        const ends = [...cuts.sort((a, b) => a - b), bytes.length]
        const pieces = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end))

        expect(await verifyEvidence(pieces)).toEqual(whole)
      }),
      { numRuns: 30 },
    )
    expect(await verifyEvidence(Readable.from(linesOf(rich)))).toEqual(whole)
    expect(await verifyEvidence(bytes)).toEqual(whole)
  })

  test('is verified in pieces of text that part a character', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [sum], newId: () => 'a \u{1f600} b' })
    await kernel.start(sum, [1])
    const text = await bundleOf(kernel, 'a \u{1f600} b')
    const cut = text.indexOf('\u{1f600}') + 1

    const whole = await verifyEvidence(text)

    expect(whole).toMatchObject({ ok: true })
    expect(await verifyEvidence([text.slice(0, cut), text.slice(cut)])).toEqual(whole)
    expect(await verifyEvidence(text.split(''))).toEqual(whole)
    expect(await verifyEvidence([text.slice(0, cut), Buffer.from(text.slice(cut))])).toMatchObject({ ok: false })
  })

  test('ends with its last line: half a character behind it is no less than a whole one', async () => {
    const line = linesOf(signed).length + 1
    for (const half of ['\ud83d', '\ude00']) {
      for (const source of [`${signed}${half}`, [signed, half], [Buffer.from(signed), half, '']]) {
        expect(await verifyEvidence(source, byAnn)).toMatchObject({ ok: false, code: 'TRUNCATED', where: { line } })
      }
    }
    expect(await verifyEvidence('\ud83d')).toMatchObject({ ok: false, code: 'NOT_A_BUNDLE' })
  })

  test.for([undefined, null, 42, {}, Promise.resolve('x'), new Response('x')])(
    'is not read from what holds no text: %s',
    async (source) => {
      await expect(verifyEvidence(source as never)).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    },
  )

  test('whose source fails has no verdict', async () => {
    const failing = (async function* () {
      yield rich.slice(0, 500)
      throw new Error('disk gone')
    })()

    await expect(verifyEvidence(failing)).rejects.toThrow('disk gone')
    await expect(verifyEvidence(kernel.exportEvidence('nobody'))).rejects.toMatchObject(kernelError('RUN_NOT_FOUND'))
    await expect(verifyEvidence([7] as never)).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })
})

describe('a change is found in its line', () => {
  /** The line that a byte stands in, 1-based. */
  const lineAt = (bytes: Buffer, at: number): number => bytes.subarray(0, at).toString('latin1').split('\n').length

  test('whichever byte of a signed bundle it is', async () => {
    const bytes = Buffer.from(signed)
    const change = fc.record({ at: fc.nat({ max: bytes.length - 1 }), flip: fc.integer({ min: 1, max: 255 }) })

    await fc.assert(
      fc.asyncProperty(change, async ({ at, flip }) => {
        const changed = Buffer.from(bytes)
        changed[at] = bytes[at]! ^ flip

        const verified = await verifyEvidence(changed)

        expect(verified).toMatchObject({ ok: false, where: { line: lineAt(bytes, at) } })
      }),
      { numRuns: 1500 },
    )
  })

  test('also in every single bit of the lines that are no events', async () => {
    const bytes = Buffer.from(signed)
    const lines = linesOf(signed)
    const first = Buffer.byteLength(lines.slice(0, 2).join(''))
    const last = Buffer.byteLength(lines.slice(0, -2).join(''))
    const places = [...bytes.keys()].filter((at) => at < first || at >= last)

    for (const at of places) {
      const changed = Buffer.from(bytes)
      changed[at] = bytes[at]! ^ (1 << (at % 8))
      expect(await verifyEvidence(changed)).toMatchObject({ ok: false, where: { line: lineAt(bytes, at) } })
    }
  })

  test('where a line is missing, twice, or before the one that it follows', async () => {
    const lines = linesOf(signed)
    for (let i = 0; i < lines.length; i++) {
      const [one = '', two] = lines.slice(i)
      const without = await verifyEvidence(lines.toSpliced(i, 1), byAnn)
      const twice = await verifyEvidence(lines.toSpliced(i, 0, one), byAnn)
      const swapped = two === undefined ? undefined : await verifyEvidence(lines.toSpliced(i, 2, two, one), byAnn)

      // Without its last line, which is the signature, the bundle is whole and nobody vouches for it.
      if (two === undefined) expect(without).toMatchObject({ ok: true, anchored: 'unanchored' })
      else expect(without).toMatchObject({ ok: false, where: { line: i + 1 } })
      expect(twice).toMatchObject({ ok: false, where: { line: i + 2 } })
      if (swapped !== undefined) expect(swapped).toMatchObject({ ok: false, where: { line: i + 1 } })
    }
  })

  test('where any of its lines comes again behind the last one of a bundle that nobody has signed', async () => {
    const lines = linesOf(rich)
    for (const [i, line] of lines.entries()) {
      const refused = { ok: false, code: 'INVALID_BUNDLE', where: { line: lines.length + 1 } }
      expect(await verifyEvidence([...lines, line]), `line ${i + 1}`).toMatchObject(refused)
    }
  })

  test('with run and seq, where it is an event', async () => {
    const lines = linesOf(rich)
    const changed = lines.with(4, lines[4]!.replace('"at":1', '"at":2'))

    expect(await verifyEvidence(changed)).toMatchObject({
      ...{ ok: false, code: 'CORRUPT_LOG', where: { line: 5, runId: 'rich', seq: 3 } },
    })
  })

  test('also where it is cut off amid a character', async () => {
    const bytes = Buffer.from(rich)
    const inside = bytes.findIndex((byte) => byte >= 0x80) + 1

    expect(inside).toBeGreaterThan(0)
    expect(await verifyEvidence(bytes.subarray(0, inside))).toMatchObject({ ok: false, code: 'TRUNCATED' })
  })

  test('and wherever it is cut off', async () => {
    const bytes = Buffer.from(rich)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: bytes.length - 1 }), async (length) => {
        const cut = await verifyEvidence(bytes.subarray(0, length))

        expect(cut).toMatchObject({ ok: false, code: 'TRUNCATED', where: { line: lineAt(bytes, length) } })
      }),
      { numRuns: 300 },
    )
  })
})

describe('refused with a code of its own is', () => {
  const newer = JSON.stringify({ evidence: 2, of: 'something else' })
  test.for<[what: string, code: string, source: string | Uint8Array]>([
    ['nothing', 'EMPTY_BUNDLE', ''],
    ['a text', 'NOT_A_BUNDLE', 'Dear Sir or Madam,\nplease find enclosed\n'],
    ['a text without a line end', 'NOT_A_BUNDLE', 'garbage'],
    ['other JSON', 'NOT_A_BUNDLE', '{"hello":"world"}\n'],
    ['an array', 'NOT_A_BUNDLE', '[1,2]\n'],
    ['null', 'NOT_A_BUNDLE', 'null\n'],
    [
      'a byte order mark',
      'NOT_A_BUNDLE',
      `\ufeff${bundleText({ kind: 'header', runId: 'r', children: false, artifacts: true })}`,
    ],
    ['an empty line', 'NOT_A_BUNDLE', '\n'],
    [
      'a plain history',
      'NOT_A_BUNDLE',
      sealLog('r', [runStarted('sum')])
        .map((e) => `${JSON.stringify(e)}\n`)
        .join(''),
    ],
    ['a binary file', 'NOT_TEXT', new Uint8Array([0x1f, 0x8b, 0x08, 0x00, 0x0a, 0xff])],
    ['a binary file without a line end', 'NOT_TEXT', new Uint8Array([0x1f, 0x8b, 0x08, 0x00])],
    ['UTF-16', 'NOT_TEXT', Buffer.from(`\ufeff${newer}\n`, 'utf16le')],
    ['a bundle of a newer format', 'NEWER_FORMAT', `${newer}\n`],
  ])('%s', async ([, code, source]) => {
    expect(await verifyEvidence(source)).toMatchObject({ ok: false, code, where: { line: 1 } })
  })

  test('a bundle with the line ends of another system', async () => {
    expect(await verifyEvidence(rich.replaceAll('\n', '\r\n'))).toMatchObject({
      code: 'INVALID_BUNDLE',
      where: { line: 1 },
    })
  })

  test('an event of a newer format, and one of an unknown type', async () => {
    const [event] = sealLog('r', [{ type: 'Teleported', data: {} }])

    expect(await verifyEvidence(bundleWith([event!]))).toMatchObject({
      code: 'NEWER_FORMAT',
      where: { line: 3, seq: 1 },
    })
  })

  test.for<[what: string, body: string]>([
    ['with white space', '{"payload": 1}'],
    ['with a key twice', '{"payload":1,"payload":1}'],
    ['with another spelling of a number', '{"payload":1.0}'],
    ['with half a character', '{"payload":"\\ud800"}'],
    ['with an integer that JavaScript changes', '{"payload":9007199254740993}'],
  ])('data that is not canonical, %s', async ([, body]) => {
    const { stored } = sealEvent('r', genesis('r'), { type: 'StateUpdated', data: {} }, 1)
    const event = { ...stored, body, hash: chainHash(genesis('r').hash, { ...stored, body }) }

    expect(await verifyEvidence(bundleWith([event]))).toMatchObject({
      ...{ ok: false, code: 'NOT_CANONICAL', where: { line: 3, runId: 'r', seq: 1 } },
    })
  })

  test.for<[what: string, drafts: { type: string; data: unknown }[]]>([
    ['data of another shape', [{ type: 'TimerStarted', data: { key: 't' } }]],
    ['a result of nothing that is open', [{ type: 'ActionSucceeded', data: { key: 'a', output: 1, attempts: 1 } }]],
    [
      'a key that is opened twice',
      Array.from({ length: 2 }, () => ({ type: 'TimerStarted', data: { key: 't', fireAt: 1 } })),
    ],
    ['something after the end', Array.from({ length: 2 }, () => ({ type: 'Completed', data: { output: 1 } }))],
    [
      'a signal that nobody sent',
      [
        { type: 'WaitStarted', data: { key: 'w', signal: 's' } },
        { type: 'SignalDelivered', data: { key: 'w', signalId: 'x', value: 1 } },
      ],
    ],
  ])('a log whose events cannot follow each other: %s', async ([, drafts]) => {
    const verified = await verifyEvidence(bundleWith(sealLog('r', [runStarted('sum'), ...drafts])))

    expect(verified).toMatchObject({
      code: 'INVALID_LOG',
      where: { line: 3 + drafts.length, runId: 'r', seq: 1 + drafts.length },
    })
  })

  test('every fact of a run that its log denies', async () => {
    const facts: Partial<RunFacts>[] = [
      ...[{ workflow: 'other' }, { version: '2' }, { queue: 'fast' }, { tags: ['urgent'] }, { parent: 'p' }],
      ...[{ head: 2 }, { head: 99 }, { hash: 'a'.repeat(64) }, { forks: [{ fromRunId: 'p', atSeq: 1 }] }],
    ]
    for (const fact of facts) {
      const verified = await verifyEvidence(forge(rich, { facts: () => fact }))

      expect(verified, JSON.stringify(fact)).toMatchObject({ ok: false, where: { runId: 'rich' } })
    }
  })

  test('a last line that closes another bundle', async () => {
    const lines = linesOf(rich)
    const other = linesOf(forge(rich, { facts: () => ({ createdAt: 1 }) }))
    const end = parseBundleLine(lines.at(-1)!.trimEnd(), lines.length)
    const counts =
      end.kind === 'end'
        ? [
            { ...end.end, events: 1 },
            { ...end.end, runs: 2 },
          ]
        : []

    expect(counts).toHaveLength(2)
    for (const last of [other.at(-1)!, ...counts.map((one) => bundleText({ kind: 'end', end: one }))]) {
      expect(await verifyEvidence(lines.with(-1, last))).toMatchObject({
        ...{ ok: false, code: 'INVALID_BUNDLE', where: { line: lines.length } },
      })
    }
  })

  test('what does not belong to the run', async () => {
    const lines = linesOf(rich).map((line, i) => parseBundleLine(line.trimEnd(), i + 1))
    const others = linesOf(await bundleOf(kernel, 'sum')).map((line, i) => parseBundleLine(line.trimEnd(), i + 1))
    const withoutEnd = (all: BundleLine[]) => all.slice(0, -1)

    const stray = await verifyEvidence(closed([...withoutEnd(lines), ...withoutEnd(others).slice(1)]))
    const other = await verifyEvidence(closed([lines[0]!, ...withoutEnd(others).slice(1)]))
    const none = await verifyEvidence(closed([lines[0]!]))
    const mixed = await verifyEvidence(closed(withoutEnd(lines).toSpliced(5, 0, others[3]!)))

    expect(stray).toMatchObject({ code: 'INVALID_BUNDLE', where: { line: lines.length, runId: 'sum' } })
    expect(other).toMatchObject({ code: 'INVALID_BUNDLE', where: { line: 2 } })
    expect(none).toMatchObject({ code: 'INVALID_BUNDLE', where: { line: 2 } })
    expect(mixed).toMatchObject({ code: 'INVALID_BUNDLE', where: { line: 6, runId: 'sum' } })
  })
})

describe('a hostile bundle is refused before it does harm:', () => {
  const limits = { limits: { bodyBytes: 1000, runEvents: 5, keptSignals: 3, runs: 3, forks: 2, depth: 10 } }

  test('an endless line', async () => {
    let pieces = 0
    const endless = (function* () {
      for (;;) yield `${pieces++ === 0 ? '{' : ''}${'x'.repeat(10_000)}`
    })()

    expect(await verifyEvidence(endless, limits)).toMatchObject({ code: 'LIMIT_EXCEEDED', where: { line: 1 } })
    expect(pieces).toBeLessThan(100)
  })

  test('endless events', async () => {
    const endless = (function* () {
      yield bundleText({ kind: 'header', runId: 'r', children: false, artifacts: true })
      const facts = { runId: 'r', workflow: 'w', version: '1', tags: [], queue: 'q', createdAt: 0 }
      yield bundleText({ kind: 'run', facts: { ...facts, head: 5, hash: 'a'.repeat(64), forks: [] } })
      let end = genesis('r')
      for (;;) {
        const { stored } = sealEvent('r', end, { type: 'StateUpdated', data: { payload: 1 } }, 1)
        end = { seq: stored.seq, hash: stored.hash }
        yield bundleText({ kind: 'event', event: stored })
      }
    })()

    expect(await verifyEvidence(endless, limits)).toMatchObject({ ok: false, where: { line: 7 } })
  })

  test.for<[what: string, line: number, drafts: { type: string; data: unknown }[], facts?: Partial<RunFacts>]>([
    ['a log that is too long', 2, Array.from({ length: 6 }, () => ({ type: 'StateUpdated', data: { payload: 1 } }))],
    ['a body that is too large', 3, [{ type: 'StateUpdated', data: { payload: 'x'.repeat(1001) } }]],
    ['a value that is too deep', 3, [{ type: 'StateUpdated', data: { payload: nested(20) } }]],
    [
      'too many signals',
      6,
      Array.from({ length: 4 }, (_, i) => ({
        type: 'SignalReceived',
        data: { signalId: `${i}`, name: 's', value: 1 },
      })),
    ],
    [
      'too many forks',
      2,
      [{ type: 'StateUpdated', data: { payload: 1 } }],
      { forks: Array.from({ length: 3 }, () => ({ fromRunId: 'p', atSeq: 1 })) },
    ],
  ])('%s', async ([, line, drafts, facts = {}]) => {
    const verified = await verifyEvidence(bundleWith(sealLog('r', drafts), facts), limits)

    expect(verified).toMatchObject({ ok: false, code: 'LIMIT_EXCEEDED', where: { line, runId: 'r' } })
  })

  test('a body nested as deep as a line allows', async () => {
    const { stored } = sealEvent('r', genesis('r'), { type: 'StateUpdated', data: {} }, 1)
    const body = `{"payload":${'['.repeat(500_000)}${']'.repeat(500_000)}}`
    const event = { ...stored, body, hash: chainHash(genesis('r').hash, { ...stored, body }) }

    expect(await verifyEvidence(bundleWith([event]))).toMatchObject({ ok: false, code: 'LIMIT_EXCEEDED' })
  })

  test('more runs than anybody wants to hear of', async () => {
    const child = (i: number) => ({
      type: 'ChildStarted',
      data: { key: `${i}`, childRunId: `c${i}`, workflow: 'w', input: 1 },
    })
    const text = bundleWith(sealLog('r', [0, 1, 2, 3].map(child)))
    const lines = linesOf(text)
      .map((line, i) => parseBundleLine(line.trimEnd(), i + 1))
      .slice(0, -1)

    const verified = await verifyEvidence(
      closed(lines.with(0, { kind: 'header', runId: 'r', children: true, artifacts: true })),
      limits,
    )

    expect(verified).toMatchObject({ ok: false, code: 'LIMIT_EXCEEDED', where: { line: 6 } })
    expect(await verifyEvidence(text, limits)).toMatchObject({ ok: true })
  })

  test('an option that there is none of is refused: a key that nobody reads would vouch for nothing', async () => {
    const misspelt: [object, string][] = [
      [{ trustedKey: [bob.publicKey] }, 'trustedKeys'],
      [{ limits: { bodyByte: 1 } }, 'bodyBytes'],
    ]
    for (const [options, remedy] of misspelt) {
      const verifying = verifyEvidence(rich, options)
      await expect(verifying).rejects.toMatchObject(kernelError('INVALID_INPUT'))
      await expect(verifying).rejects.toThrow(remedy)
    }
    await expect(verifyHistories([], { workflow: [] } as never)).rejects.toThrow('workflows')
    await expect(bundleOf(kernel, 'rich', { child: true } as never)).rejects.toThrow('children')
  })

  test.for([
    ['no head', { head: null }, 'head must be an object, got null'],
    ['a head in a text', { head: '21' }, 'head must be an object'],
    ['a head without its hash', { head: { seq: 21 } }, 'hash of head must be 64 hex digits'],
    [
      'a head with a seq in a text',
      { head: { seq: '21', hash: 'a'.repeat(64) } },
      'seq of head must be a whole number',
    ],
    ['no keys', { trustedKeys: null }, 'trustedKeys must be a list, got null'],
    ['a key alone', { trustedKeys: bob.publicKey }, 'trustedKeys must be a list'],
    ['keys in a set', { trustedKeys: new Set([bob.publicKey]) }, 'trustedKeys must be a list'],
    ['keys that are read once', { trustedKeys: [bob.publicKey].values() }, 'trustedKeys must be a list'],
    ['an empty text for keys', { trustedKeys: '' }, 'trustedKeys must be a list'],
    ['no limits', { limits: null }, 'limits must be an object, got null'],
  ] as const)(
    '%s of what is known from elsewhere would not be looked at, and is refused',
    async ([, options, found]) => {
      const verifying = verifyEvidence(signed, options as never)

      await expect(verifying).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        message: expect.stringContaining(found) as unknown,
      })
    },
  )

  test('limits that are none are refused', async () => {
    await expect(verifyEvidence(rich, { limits: { depth: 0 } })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })
})

function nested(depth: number): Json {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

describe('a consistent forgery', () => {
  const forgeries: [string, Parameters<typeof forge>[1]][] = [
    [
      'of a value',
      { event: (event, data) => (event.type === 'SignalReceived' ? { data: { ...data, by: 'eve' } } : {}) },
    ],
    ['of a time', { event: (event) => (event.seq === 1 ? { at: event.at - 1 } : {}) }],
    ['of the end', { event: (event) => (event.type === 'Completed' ? undefined : {}) }],
  ]

  test.for(forgeries)('%s passes unanchored, and is refused with the head that was noted', async ([, forgery]) => {
    const forged = forge(rich, forgery)
    const { head: seq, hash } = await kernel.replay('rich')

    expect(await verifyEvidence(forged)).toMatchObject({ ok: true, anchored: 'unanchored' })
    expect(await verifyEvidence(forged, byAnn)).toMatchObject({ ok: true, anchored: 'unanchored' })
    expect(await verifyEvidence(forged, { head: { seq, hash } })).toMatchObject({ ok: false, code: 'HEAD_DIFFERS' })
    expect(await verifyEvidence(rich, { head: { seq, hash } })).toMatchObject({ ok: true, anchored: 'known-head' })
  })

  test.for(forgeries)('%s does not fit the signature of the true one', async ([, forgery]) => {
    const forged = forge(rich, forgery) + linesOf(signed).at(-1)!

    for (const options of [{}, byAnn] as VerifyEvidenceOptions[]) {
      expect(await verifyEvidence(forged, options)).toMatchObject({ ok: false, code: 'BAD_SIGNATURE' })
    }
  })

  test('of a fact that no log holds does not fit it either', async () => {
    const forged = forge(rich, { facts: () => ({ createdAt: 1 }) })

    expect(await verifyEvidence(forged)).toMatchObject({ ok: true, anchored: 'unanchored' })
    expect(await verifyEvidence(forged + linesOf(signed).at(-1)!)).toMatchObject({ ok: false, code: 'BAD_SIGNATURE' })
  })
})

describe('a signed bundle', () => {
  test('is anchored by a key that is trusted, and says when it was signed', async () => {
    expect(await verifyEvidence(signed, byAnn)).toMatchObject({
      ...{ ok: true, anchored: 'signed', signedAt: 1_700_000_002_000, runs: [{ anchored: 'signed' }] },
    })
  })

  test('is refused when its key is not among the trusted ones', async () => {
    const trusted = { trustedKeys: [bob.publicKey] }

    expect(await verifyEvidence(signed, trusted)).toMatchObject({ ok: false, code: 'UNTRUSTED_KEY' })
  })

  test('is unanchored for whoever trusts nobody', async () => {
    const verified = await verifyEvidence(signed)

    expect(verified).toMatchObject({ ok: true, anchored: 'unanchored' })
    expect(verified).not.toHaveProperty('signedAt')
  })

  test('has to fit the head that was noted, too', async () => {
    const options = { ...byAnn, head: { seq: 1, hash: 'a'.repeat(64) } }

    expect(await verifyEvidence(signed, options)).toMatchObject({ ok: false, code: 'HEAD_DIFFERS' })
  })

  test('may be signed from afar', async () => {
    const sign = async (message: Uint8Array) => signBytes(null, message, ann.privateKey)
    const text = await bundleOf(kernel, 'rich', { sign: { publicKey: ann.publicKey, sign } })

    expect(text).toBe(signed)
  })

  test.for<[what: string, sign: unknown]>([
    ['null', null],
    ['a text', 'private key'],
    ['without a function', { publicKey: ann.publicKey, sign: 'ann' }],
    ['of no key', { sign: () => new Uint8Array(64) }],
  ])('by %s is refused before anything is written', async ([, sign]) => {
    const writing = kernel.exportEvidence('rich', { sign: sign as never })

    await expect(writing.next()).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })

  test('by what answers no bytes is refused', async () => {
    const sign = { publicKey: ann.publicKey, sign: () => undefined as never }

    await expect(bundleOf(kernel, 'rich', { sign })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
  })

  test('is not written when the signature does not fit, or the key is of another kind', async () => {
    const sign = (message: Uint8Array) => signBytes(null, message, bob.privateKey)
    const refused = [
      { publicKey: ann.publicKey, sign },
      ...[ann.publicKey, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
    ]
    for (const by of refused) {
      await expect(bundleOf(kernel, 'rich', { sign: by })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    }
    const trustedKeys = [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey]
    for (const text of [rich, signed]) {
      await expect(verifyEvidence(text, { trustedKeys })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    }
  })
})

describe('a bundle with children', () => {
  test('holds what the run has started, and is anchored as far as hashes reach', async () => {
    const text = await bundleOf(kernel, 'parent', { children: true })
    const { head: seq, hash } = await kernel.replay('parent')
    const { children } = await kernel.lineage('parent')

    const verified = await verifyEvidence(text, { head: { seq, hash } })

    expect(verified).toMatchObject({
      ok: true,
      runs: [
        { runId: 'parent', anchored: 'known-head' },
        { runId: children[0]?.runId, status: 'completed', anchored: 'known-head' },
      ],
    })
    expect(await verifyEvidence(text)).toMatchObject({ runs: [{ anchored: 'unanchored' }, { anchored: 'unanchored' }] })
  })

  test('is refused when a child is not the one whose end its parent recorded', async () => {
    const text = await bundleOf(kernel, 'parent', { children: true })

    const other = forge(text, {
      event: ({ runId, type }) => (runId !== 'parent' && type === 'Completed' ? { data: { output: 7 } } : {}),
    })
    const cut = forge(text, {
      event: ({ runId, type }) => (runId !== 'parent' && type === 'Completed' ? undefined : {}),
    })

    for (const forged of [other, cut])
      expect(await verifyEvidence(forged)).toMatchObject({ ok: false, code: 'CHILD_DIFFERS' })
  })

  test('is refused where a child is of another workflow than its parent asked for', async () => {
    const text = await bundleOf(kernel, 'parent', { children: true })
    const forged = forge(text, {
      event: ({ runId, seq }, data) => (runId !== 'parent' && seq === 1 ? { data: { ...data, workflow: 'x' } } : {}),
      facts: ({ runId }) => (runId === 'parent' ? {} : { workflow: 'x' }),
    })

    const open = forge(forged, {
      event: ({ runId, type }) =>
        runId === 'parent' && type !== 'RunStarted' && type !== 'ChildStarted' ? undefined : {},
    })

    expect(await verifyEvidence(forged)).toMatchObject({ ok: false, code: 'CHILD_DIFFERS' })
    expect(await verifyEvidence(open)).toMatchObject({ ok: false, code: 'CHILD_DIFFERS' })
  })

  test('lacks those that are not there any more', async () => {
    const gone = await runGolden()
    const { children } = await gone.kernel.lineage('parent')
    await gone.store.runs.remove(children[0]!.runId, { ifTerminal: true })

    const verified = await verifyEvidence(await bundleOf(gone.kernel, 'parent', { children: true }))

    expect(verified).toMatchObject({ ok: true, runs: [{ runId: 'parent' }] })
  })

  test('follows a child that goes on as another run', async () => {
    const { kernel: own, ids } = await runGenerations()
    const { head: seq, hash } = await own.replay(ids[0])

    const verified = await verifyEvidence(await bundleOf(own, ids[0], { children: true }), { head: { seq, hash } })

    expect(verified).toMatchObject({
      ok: true,
      runs: [
        { runId: ids[0], anchored: 'known-head' },
        { runId: ids[1], status: 'continued', anchored: 'unanchored' },
        { runId: ids[2], status: 'completed', anchored: 'known-head' },
      ],
    })
  })
})

describe('a fork', () => {
  test('shows that its copied part is that of the run it was taken from, also of a fork of a fork', async () => {
    const own = await runGolden()
    await own.kernel.fork('sum', { at: 3, as: 'f1' })
    await own.kernel.fork('f1', { at: 5, as: 'f2' })

    const verified = await verifyEvidence(await bundleOf(own.kernel, 'f2'))

    expect(verified).toMatchObject({
      ok: true,
      runs: [
        {
          forkedFrom: [
            { runId: 'sum', atSeq: 3, proven: true },
            { runId: 'f1', atSeq: 5, proven: true },
          ],
        },
      ],
    })
  })

  test('whose copied part is another than that run had is refused', async () => {
    const text = await bundleOf(kernel, 'rich-fork')

    const forged = forge(text, { event: (event) => (event.seq === 1 ? { at: event.at - 1 } : {}) })

    expect(await verifyEvidence(forged)).toMatchObject({
      code: 'LINEAGE_DIFFERS',
      where: { runId: 'rich-fork', seq: 5 },
    })
  })

  test('is refused when it hides or misstates what it was forked from', async () => {
    const text = await bundleOf(kernel, 'rich-fork')
    const said = [[], [{ fromRunId: 'sum', atSeq: 4 }], [{ fromRunId: 'rich', atSeq: 3 }]]

    for (const forks of said) {
      expect(await verifyEvidence(forge(text, { facts: () => ({ forks }) }))).toMatchObject({ code: 'FACTS_DIFFER' })
    }
  })

  test('that was edited says that its last copied event cannot be proven', async () => {
    const own = await runGolden()
    await own.kernel.fork('sum', { at: 1, as: 'f', edit: { input: [7], tags: ['retold'], queue: 'slow' } })

    const verified = await verifyEvidence(await bundleOf(own.kernel, 'f'))

    expect(verified).toMatchObject({ ok: true, runs: [{ forkedFrom: [{ runId: 'sum', atSeq: 1, proven: false }] }] })
  })
})

describe('a log that the store has spoilt', () => {
  test('is exported as it is, and found by whoever verifies it', async () => {
    const spoilt = memoryStore()
    await writeLog(spoilt, 'r', [runStarted('sum', [1])], { workflow: 'other' })
    const own = createKernel({ store: recordCalls(spoilt, []), workflows: [] })

    expect(await verifyEvidence(await bundleOf(own, 'r'))).toMatchObject({ ok: false, code: 'FACTS_DIFFER' })
  })

  test('may begin without its start, as logs of other programs do', async () => {
    const foreign = memoryStore()
    await writeLog(foreign, 'r', [{ type: 'StateUpdated', data: { payload: 1 } }], {
      workflow: 'counter',
      version: '3',
    })
    const own = createKernel({ store: foreign, workflows: [] })

    const verified = await verifyEvidence(await bundleOf(own, 'r'))

    expect(verified).toMatchObject({ ok: true, runs: [{ workflow: 'counter', version: '3', status: 'running' }] })
  })
})
