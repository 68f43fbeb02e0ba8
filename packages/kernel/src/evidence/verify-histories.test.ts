import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { StoredEvent } from '@varve/store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { bundleOf, forge } from '../testing/bundles.ts'
import { kernelError } from '../testing/expected-errors.ts'
import { goldenFolder, goldenWorkflows, rich, runGolden, sum } from '../testing/golden.ts'
import { readLog, runStarted, sealLog } from '../testing/sealed-log.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { verifyHistories } from './verify-histories.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'histories-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** Puts a file into the folder. */
function put(name: string, content: string | Uint8Array): string {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}

const workflows = goldenWorkflows

/** Adds up, and asks for its actions otherwise than `sum` does from the second on. */
const changedSum = defineWorkflow(
  {
    ...{ name: 'sum', version: '1', input: z.array(z.number()) },
    actions: {
      add: {
        run: (_: number[]): number => {
          throw new Error('nothing is executed')
        },
      },
    },
  },
  {
    step: ({ input, results }, next) =>
      results['add:0']
        ? next.run('add', [7, 7], { key: 'add:1' })
        : next.run('add', [0, input[0] ?? 0], { key: 'add:0' }),
  },
)

describe('a folder of histories', () => {
  test('of earlier releases is verified by this one', async () => {
    const verified = await verifyHistories(fileURLToPath(goldenFolder), { workflows })

    expect(verified.length).toBeGreaterThanOrEqual(4)
    expect(verified.filter(({ ok }) => !ok)).toEqual([])
    for (const each of verified) {
      const events = readFileSync(each.file, 'utf8').trimEnd().split('\n')
      const { runId, seq, hash } = JSON.parse(events.at(-1)!) as StoredEvent
      expect(each).toMatchObject({ runs: [{ runId, head: seq, hash }] })
    }
  })

  test('may hold bundles with children and forks, and what is not named *.jsonl is left alone', async () => {
    const { kernel } = await runGolden()
    put('b.jsonl', await bundleOf(kernel, 'parent', { children: true }))
    put('a.jsonl', await bundleOf(kernel, 'rich-fork'))
    put('README.md', 'not a history')

    expect(await verifyHistories(folder, { workflows })).toMatchObject([
      { file: path.join(folder, 'a.jsonl'), ok: true, runs: [{ runId: 'rich-fork', forkedFrom: [{ runId: 'rich' }] }] },
      { file: path.join(folder, 'b.jsonl'), ok: true, runs: [{ runId: 'parent' }, { workflow: 'sum' }] },
    ])
  })

  test('answers for each file, whatever is wrong with the others', async () => {
    const { kernel } = await runGolden()
    const whole = await bundleOf(kernel, 'sum')
    put('1-whole.jsonl', whole)
    put('2-cut.jsonl', whole.slice(0, 900))
    put('3-binary.jsonl', new Uint8Array([0xff, 0xfe, 0x0a]))
    put('4-empty.jsonl', '')
    put('5-stranger.jsonl', sealed('stranger'))
    put('6-whole.jsonl', whole)

    const verified = await verifyHistories(folder, { workflows })

    expect(verified.map((each) => (each.ok ? 'ok' : each.code))).toEqual([
      ...['ok', 'TRUNCATED', 'NOT_TEXT', 'EMPTY_BUNDLE', 'WORKFLOW_MISSING', 'ok'],
    ])
    // Of a file no run can be migrated, and there is no kernel to register it with.
    const remedy = /is not registered here \(registered: [^)]+\); add it to the workflows of verifyHistories$/
    expect(verified[4]).toMatchObject({ message: expect.stringMatching(remedy) as unknown })
  })

  test('that is not there, is empty, or is no list at all is refused: a check of nothing would always pass', async () => {
    for (const files of [path.join(folder, 'gone'), folder, []]) {
      await expect(verifyHistories(files, { workflows })).rejects.toMatchObject(kernelError('INVALID_INPUT'))
    }
  })
})

describe('a history', () => {
  test('may be named by its path, and one that cannot be read says so', async () => {
    const { kernel } = await runGolden()
    const file = put('sum.txt', await bundleOf(kernel, 'sum'))
    const gone = path.join(folder, 'gone.jsonl')

    expect(await verifyHistories(file, { workflows })).toMatchObject([{ file, ok: true }])
    expect(await verifyHistories([file, gone, folder], { workflows })).toMatchObject([
      ...[
        { file, ok: true },
        { file: gone, code: 'UNREADABLE' },
        { file: folder, code: 'UNREADABLE' },
      ],
    ])
  })

  test('that the code would decide otherwise says where, what was recorded and what it decides', async () => {
    const { kernel } = await runGolden()
    const file = put('sum.jsonl', await bundleOf(kernel, 'sum'))

    const [verified] = await verifyHistories(file, { workflows: [changedSum] })

    expect(verified).toMatchObject({
      ...{ ok: false, code: 'CODE_CHANGED', where: { line: 6, runId: 'sum', seq: 4 } },
      divergence: {
        ...{ seq: 4, path: 'event.data.input[0]' },
        recorded: { type: 'ActionRequested', data: { input: [1, 2] } },
        decided: { type: 'ActionRequested', data: { input: [7, 7] } },
      },
    })
  })

  test('that is plain gives lines, too', async () => {
    const { store } = await runGolden()
    const log = await readLog(store, 'sum')
    const file = put('sum.jsonl', log.map((event) => `${JSON.stringify(event)}\n`).join(''))

    expect(await verifyHistories(file, { workflows: [changedSum] })).toMatchObject([{ where: { line: 4, seq: 4 } }])
  })

  test('whose result was forged under a chain that fits is found by the decisions behind it', async () => {
    const { kernel } = await runGolden()
    const forged = forge(await bundleOf(kernel, 'sum'), {
      event: ({ type }, data) => (type === 'ActionSucceeded' ? { data: { ...data, output: 9 } } : {}),
    })

    expect(await verifyHistories(put('sum.jsonl', forged), { workflows })).toMatchObject([{ code: 'CODE_CHANGED' }])
  })

  test('on which the step throws, or is not pure, says so with the line', async () => {
    const { kernel } = await runGolden()
    const file = put('sum.jsonl', await bundleOf(kernel, 'sum'))
    const stepping = (step: () => never) =>
      defineWorkflow({ name: 'sum', version: '1', input: z.array(z.number()) }, { step })
    const throwing = stepping(() => {
      throw new Error('oh')
    })
    const impure = stepping(() => Date.now() as never)

    expect(await verifyHistories(file, { workflows: [throwing] })).toMatchObject([{ code: 'STEP_FAILED' }])
    expect(await verifyHistories(file, { workflows: [impure] })).toMatchObject([{ code: 'NONDETERMINISM' }])
    expect(await verifyHistories(file, { workflows: [impure], guard: 'off' })).toMatchObject([{ code: 'INVALID_STEP' }])
  })

  test('warns of what is not pure where that is asked for', async () => {
    const { kernel } = await runGolden()
    const file = put('sum.jsonl', await bundleOf(kernel, 'sum'))
    const warnings: string[] = []
    const onWarning = ({ message }: Error) => warnings.push(message)
    const looking = defineWorkflow(
      { name: 'sum', version: '1', input: z.array(z.number()), actions: { add: { run: (_: number[]) => 0 } } },
      {
        step: (state, next) => {
          Date.now()
          return sum.definition.name === 'sum'
            ? next.run('add', [0, state.input[0]!], { key: 'add:0' })
            : next.complete(1)
        },
      },
    )

    await verifyHistories(file, { workflows: [looking], guard: 'warn', onWarning })

    expect(warnings).toHaveLength(1)
  })

  test('is held to the limits that are given', async () => {
    const { kernel, store } = await runGolden()
    const bundle = put('rich.jsonl', await bundleOf(kernel, 'rich'))
    const plain = put(
      'plain.jsonl',
      (await readLog(store, 'rich')).map((event) => `${JSON.stringify(event)}\n`).join(''),
    )

    expect(await verifyHistories([bundle, plain], { workflows: [rich], limits: { runEvents: 3 } })).toMatchObject([
      { code: 'LIMIT_EXCEEDED', where: { line: 2 } },
      { code: 'LIMIT_EXCEEDED', where: { line: 4 } },
    ])
  })

  test('that begins without its start is of no known workflow, unless it is a bundle', async () => {
    const [event] = sealLog('r', [{ type: 'StateUpdated', data: { payload: 1 } }])

    expect(await verifyHistories(put('r.jsonl', `${JSON.stringify(event)}\n`), { workflows })).toMatchObject([
      { code: 'WORKFLOW_MISSING', where: { line: 1 } },
    ])
  })
})

function sealed(workflow: string): string {
  return sealLog('r', [runStarted(workflow)])
    .map((event) => `${JSON.stringify(event)}\n`)
    .join('')
}

test.for([
  ['no files', null, {}, 'files must be a list, got null'],
  ['files in a set', new Set(['a.jsonl']), {}, 'files must be a list'],
  ['a number of a file', [7], {}, 'each of files must be the path of a file, got 7'],
  ['a name that no file can have', ['a\0b'], {}, 'each of files must be the path of a file'],
  ['no workflows', ['a.jsonl'], { workflows: undefined }, 'workflows must be a list, got undefined'],
  ['a guard of another word', ['a.jsonl'], { guard: 'Throw' }, 'guard must be throw or warn or off'],
  ['warnings for nobody', ['a.jsonl'], { onWarning: 7 }, 'onWarning must be a function, got 7'],
  ['no limits', ['a.jsonl'], { limits: null }, 'limits must be an object, got null'],
] as const)('%s is refused before anything is read', async ([, files, options, found]) => {
  const verifying = verifyHistories(files as never, { workflows: [], ...options } as never)

  await expect(verifying).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining(found) as unknown,
  })
})
