import { TestingError } from '../errors.ts'
import { seededRandom } from '../seeded-random.ts'
import type { BoundaryName } from '../boundaries.ts'

/**
 * Where a process is struck: it dies at a boundary, or, `lost`, the answer of a call of the store is lost and the process
 * lives on.
 */
export type CrashPoint = BoundaryName | `${string}:${number}:lost`

const SEPARATOR = ' then '

/** Text of the points of one case, one after the other. */
export function formatPoints(points: readonly CrashPoint[]): string {
  return points.length === 0 ? 'none' : points.join(SEPARATOR)
}

/** @throws TestingError `INVALID_SCENARIO` for a text that {@link formatPoints} cannot have made. */
export function parsePoints(text: string): readonly CrashPoint[] {
  if (text === 'none') return []
  const points = text.split(SEPARATOR)
  const wrong = points.find((point) => !/^.+:[1-9]\d*:(before|after|lost)$/.test(point))
  if (wrong === undefined) return points as CrashPoint[]
  throw new TestingError(
    'INVALID_SCENARIO',
    `no boundary is called ${wrong}; copy what a failure says, such as append:3:after`,
  )
}

/** True for a lost answer, after which the process lives on. */
export function isLostAnswer(point: CrashPoint): boolean {
  return point.endsWith(':lost')
}

/** The boundary at which a point strikes. */
export function boundaryOf(point: CrashPoint): BoundaryName {
  return point.replace(/:lost$/, ':after') as BoundaryName
}

/** What happens in the process itself, not in its store: there is no answer to lose. */
const OWN = ['action', 'effect', 'fact']

/** Every point along the boundaries that a process has passed. */
export function pointsAlong(boundaries: readonly BoundaryName[]): CrashPoint[] {
  return boundaries.flatMap((boundary): CrashPoint[] => {
    const [name = ''] = boundary.split(':')
    const answered = boundary.endsWith(':after') && !OWN.includes(name)
    return answered ? [boundary, boundary.replace(/after$/, 'lost') as CrashPoint] : [boundary]
  })
}

/** So many of the items, drawn by the seed, in their order. */
export function sampleOf<T>(items: readonly T[], count: number, seed: number): readonly T[] {
  const random = seededRandom(seed)
  const drawn = items.map((item, index) => ({ item, index, rank: items.length > count ? random() : 0 }))
  return drawn
    .sort((a, b) => a.rank - b.rank)
    .slice(0, count)
    .sort((a, b) => a.index - b.index)
    .map(({ item }) => item)
}

/** The points that strike each process of a case: lost answers, then the one at which it dies, if it does. */
export function livesOf(points: readonly CrashPoint[]): readonly (readonly CrashPoint[])[] {
  const lives: CrashPoint[][] = [[]]
  for (const point of points) {
    lives.at(-1)?.push(point)
    if (!isLostAnswer(point)) lives.push([])
  }
  return lives
}
