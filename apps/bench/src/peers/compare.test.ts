import { describe, expect, test } from 'vitest'
import type { Workload } from '../../peers/workloads.ts'
import { compare, type MeasuredPeer } from './compare.ts'
import type { PeerEntry } from './peer-list.ts'
import { failures, figureRows, markdownTable, ratioRows } from './peers-table.ts'

const ours: PeerEntry = { name: 'varve-sqlite', file: '', variant: '', workloads: [] }
const theirs: PeerEntry = { name: 'theirs', file: '', variant: '', workloads: [], against: 'varve-sqlite' }

function measured(
  peer: PeerEntry,
  cells: Partial<Record<Workload, readonly (number | null)[]>>,
  error?: string,
): MeasuredPeer {
  const entries = Object.entries(cells) as [Workload, readonly (number | null)[]][]
  return {
    peer,
    cells: new Map(entries.map(([name, values]) => [name, { values, ...(error !== undefined && { error }) }])),
  }
}

describe('we are compared with another system', () => {
  test('by how many times more there is in a second, and by how many times shorter a time is', () => {
    const compared = compare([measured(ours, { W1: [900], W4: [10] }), measured(theirs, { W1: [300], W4: [80] })])

    expect(compared).toMatchObject([
      { peer: 'theirs', workload: 'W1', times: 3, target: 3, verdict: 'reached' },
      { peer: 'theirs', workload: 'W4', times: 8, target: 8, verdict: 'reached' },
    ])
  })

  test('in the same round, and a round in which one of both failed does not count', () => {
    const compared = compare([measured(ours, { W1: [100, null, 300] }), measured(theirs, { W1: [10, 10, 100] })])

    expect(compared).toMatchObject([{ times: 6.5, least: 3, most: 10 }])
  })

  test.for([
    { rates: [300, 310, 290], verdict: 'reached' },
    { rates: [290, 280, 310], verdict: 'within the spread' },
    { rates: [290, 280, 299], verdict: 'missed' },
  ])('so that $rates next to 100 are $verdict, where three times as many are demanded', ({ rates, verdict }) => {
    const compared = compare([measured(ours, { W1: rates }), measured(theirs, { W1: [100, 100, 100] })])

    expect(compared).toMatchObject([{ verdict }])
  })

  test('without a demand where it does less', () => {
    const less: PeerEntry = { ...theirs, doesLess: ['W1'] }

    const compared = compare([measured(ours, { W1: [1], W4: [1] }), measured(less, { W1: [100], W4: [1] })])

    expect(compared.map(({ workload, verdict }) => [workload, verdict])).toEqual([
      ['W1', 'unjudged'],
      ['W4', 'missed'],
    ])
  })

  test('only in what both have figures of', () => {
    const compared = compare([measured(ours, { W1: [1] }), measured(theirs, { W1: [null], W2: [1] })])

    expect(compared).toEqual([])
  })
})

describe('the tables', () => {
  const all = [
    measured(ours, { W1: [1_200, 1_000, 1_100], W4: [4.04] }),
    measured(theirs, { W1: [100, 100, 110], W4: [null] }, 'took more than 120 s'),
  ]

  test('show medians, spreads, and what failed', () => {
    expect(markdownTable(figureRows(all, ['W1', 'W4', 'W5']))).toBe(
      [
        '| system | W1 steps/s | W4 ms | W5 ms |',
        '| --- | ---: | ---: | ---: |',
        '| varve-sqlite | 1,100<br>1,000-1,200 | 4.0 |  |',
        '| theirs | 100<br>100-110 | failed |  |',
      ].join('\n'),
    )
  })

  test('show how many times as fast we are, next to what is demanded', () => {
    expect(ratioRows(compare(all), ['W1', 'W4'])).toEqual([
      ['we are so many times as fast as', 'W1, at least 3'],
      ['theirs', '10\n10-12'],
    ])
  })

  test('are followed by why there is no figure', () => {
    expect(failures(all)).toEqual(['theirs, W1 steps/s: took more than 120 s', 'theirs, W4 ms: took more than 120 s'])
  })
})
