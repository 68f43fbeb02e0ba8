import type { Profiler } from 'node:inspector'
import { describe, expect, test } from 'vitest'
import { callTree, type StackFrame } from './call-tree.ts'
import { foldProfile, type Part } from './fold-profile.ts'
import { profileTree } from './profile-tree.ts'

const repository = 'file:///home/ada/varve'
const drive = { functionName: 'drive', url: `${repository}/packages/kernel/src/driver/drive.ts`, lineNumber: 9 }
const turn = { functionName: 'turn', url: `${repository}/packages/kernel/src/driver/turn.ts`, lineNumber: 0 }
const seal = { functionName: 'seal', url: `${repository}/packages/store/src/seal.ts`, lineNumber: 1 }
const parse = {
  functionName: '',
  url: `${repository}/node_modules/.pnpm/zod@4/node_modules/zod/v4/core/parse.js`,
  lineNumber: 2,
}
const native = (functionName: string) => ({ functionName, url: '', lineNumber: -1 })

/** What was being done: a stack, outermost first, and for how long. */
type Sample = readonly [stack: readonly Omit<typeof drive, never>[], us: number]

/** A profile as V8 makes it: the time before a sample is told with it. */
function profileOf(...samples: readonly Sample[]): Profiler.Profile {
  const nodes: (Profiler.ProfileNode & { children: number[] })[] = []
  const nodeOf = (frame: typeof drive | undefined, parent?: number): number => {
    const callFrame = { ...(frame ?? native('(root)')), scriptId: '0', columnNumber: 0 }
    const id = nodes.push({ id: nodes.length + 1, callFrame, children: [] })
    if (parent !== undefined) nodes[parent - 1]?.children.push(id)
    return id
  }
  const childOf = (parent: number, frame: typeof drive): number =>
    nodes[parent - 1]?.children.find((id) => nodes[id - 1]?.callFrame.functionName === frame.functionName) ??
    nodeOf(frame, parent)
  const root = nodeOf(undefined)
  const startTime = 1_000
  return {
    nodes,
    startTime,
    endTime: startTime + 5 + samples.reduce((sum, [, us]) => sum + us, 0),
    samples: samples.map(([stack]) => stack.reduce(childOf, root)),
    timeDeltas: [5, ...samples.slice(0, -1).map(([, us]) => us)],
  }
}

/** Self and all of every part, by its path. */
function timesOf(parts: readonly Part[], within = ''): Readonly<Record<string, readonly [number, number]>> {
  return Object.fromEntries(
    parts.flatMap(({ name, selfUs, allUs, parts: more }) => [
      [`${within}${name}`, [selfUs, allUs]],
      ...Object.entries(timesOf(more, `${within}${name} > `)),
    ]),
  )
}

describe('a profile is folded', () => {
  test('by package, folder, file and function; each has what it does itself, and what it calls besides', () => {
    const { parts, busyUs } = foldProfile(
      profileOf([[drive], 10], [[drive, turn], 20], [[drive, turn, seal], 30], [[drive, turn, parse], 40]),
    )

    expect(busyUs).toBe(100)
    expect(timesOf(parts)).toEqual({
      kernel: [30, 100],
      'kernel > driver': [30, 100],
      'kernel > driver > turn.ts': [20, 90],
      'kernel > driver > turn.ts > turn:1': [20, 90],
      'kernel > driver > drive.ts': [10, 100],
      'kernel > driver > drive.ts > drive:10': [10, 100],
      store: [30, 30],
      'store > seal.ts': [30, 30],
      'store > seal.ts > seal:2': [30, 30],
      zod: [40, 40],
      'zod > v4/core': [40, 40],
      'zod > v4/core > parse.js': [40, 40],
      'zod > v4/core > parse.js > anonymous:3': [40, 40],
    })
  })

  test('with the most of it first', () => {
    const { parts } = foldProfile(profileOf([[seal], 10], [[drive], 20], [[parse], 15]))

    expect(parts.map(({ name }) => name)).toEqual(['kernel', 'zod', 'store'])
  })

  test('without the time in which nothing was done, and that of the profiler', () => {
    const profiler = { functionName: 'post', url: 'node:inspector', lineNumber: 1 }

    const { busyUs, idleUs, parts } = foldProfile(
      profileOf([[seal], 10], [[native('(idle)')], 90], [[seal], 15], [[profiler], 7]),
    )

    expect({ busyUs, idleUs }).toEqual({ busyUs: 25, idleUs: 90 })
    expect(timesOf(parts)['store']).toEqual([25, 25])
  })

  test('so that a function which calls itself counts once', () => {
    const { parts } = foldProfile(profileOf([[seal, turn, seal], 10]))

    expect(timesOf(parts)['store > seal.ts > seal:2']).toEqual([10, 10])
    expect(timesOf(parts)['kernel']).toEqual([0, 10])
  })

  test('so that native code is a part of the file that calls it, and the collector of nobody', () => {
    const { parts } = foldProfile(
      profileOf([[drive, native('digest')], 10], [[drive, native('')], 20], [[native('(garbage collector)')], 30]),
    )

    expect(timesOf(parts)).toMatchObject({
      'kernel > driver > drive.ts': [30, 30],
      'kernel > driver > drive.ts > digest, native': [10, 10],
      'kernel > driver > drive.ts > native, by drive:10': [20, 20],
      'kernel > driver > drive.ts > drive:10': [0, 30],
      'garbage collection': [30, 30],
    })
  })
})

/** What was called by whom, for how long. */
function linesOf({ name, package: within, allUs, calls }: StackFrame): readonly string[] {
  return [`${name} ${within} ${allUs}`, ...calls.flatMap(linesOf).map((line) => `  ${line}`)]
}

test('a call tree says who called what for how long, the longest first, and leaves out waiting', () => {
  const tree = callTree(
    profileOf(
      [[drive], 10],
      [[drive, seal], 20],
      [[native('(idle)')], 90],
      [[drive, turn, seal], 30],
      [[drive, seal], 5],
    ),
  )

  expect(linesOf(tree)).toEqual([
    '(root) native 65',
    '  drive kernel 65',
    '    turn kernel 30',
    '      seal store 30',
    '    seal store 25',
  ])
})

test('a tree says how much each part takes, and puts what is less than so much into one line', () => {
  const folded = foldProfile(
    profileOf([[drive], 900], [[drive, turn], 15], [[seal], 60], [[parse], 10], [[native('(program)')], 15]),
  )

  expect(profileTree(folded, 2).split('\n')).toEqual([
    ' self    all',
    ' 92 %   92 %  kernel',
    ' 92 %   92 %    driver',
    ' 90 %   92 %      drive.ts',
    ' 90 %   92 %        drive:10',
    '  6 %    6 %  store',
    '  6 %    6 %    seal.ts',
    '  6 %    6 %      seal:2',
    '  3 %         others',
  ])
})
