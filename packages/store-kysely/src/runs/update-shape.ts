import { isTerminal, type RunUpdate } from '@varve/store'

/** Which parts an update has. What it leaves alone is not in its statement, which the database would only have to read. */
export interface UpdateShape {
  /** The status is terminal. */
  readonly ended: boolean
  /** The debts of the row are replaced. */
  readonly setsOwes: boolean
  /** `recoveries` begins again at 0. */
  readonly progressed: boolean
  /** The workflow's version changes. */
  readonly setsVersion: boolean
}

/** The shape of an update. */
export function shapeOf({ status, owes, progressed = false, version }: RunUpdate): UpdateShape {
  return { ended: isTerminal(status), setsOwes: owes !== undefined, progressed, setsVersion: version !== undefined }
}

/** One query for each shape, compiled when it is first asked for. The shapes must have their properties in one order. */
export function perShape<Shape extends Readonly<Record<keyof Shape, boolean>>, Query>(
  compile: (shape: Shape) => Query,
): (shape: Shape) => Query {
  const queries: Query[] = []
  return (shape) => {
    let key = 0
    for (const has of Object.values<boolean>(shape)) key = key * 2 + (has ? 1 : 0)
    return (queries[key] ??= compile(shape))
  }
}
