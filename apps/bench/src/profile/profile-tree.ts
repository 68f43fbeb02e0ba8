import type { Folded, Part } from './fold-profile.ts'

/**
 * The parts of a profile as lines of text, in percent of the time in which something was done: in the part itself, and with all it calls.
 *
 * @param leastPercent - parts that did less themselves are one line.
 */
export function profileTree({ busyUs, parts }: Folded, leastPercent: number): string {
  const percent = (us: number): number => (us / busyUs) * 100
  const lineOf = (depth: number, name: string, [selfUs, allUs]: readonly [number, number?]): string =>
    `${cell(percent(selfUs))}  ${allUs === undefined ? cell() : cell(percent(allUs))}  ${'  '.repeat(depth)}${name}`
  const linesOf = (all: readonly Part[], depth: number): readonly string[] => {
    const shown = all.filter(({ selfUs }) => percent(selfUs) >= leastPercent)
    const restUs = all.filter((part) => !shown.includes(part)).reduce((sum, { selfUs }) => sum + selfUs, 0)
    return [
      ...shown.flatMap(({ name, selfUs, allUs, parts: within }) => [
        lineOf(depth, name, [selfUs, allUs]),
        // Where everything is below the bound, one line for all of it would say nothing.
        ...(within.some((part) => percent(part.selfUs) >= leastPercent) ? linesOf(within, depth + 1) : []),
      ]),
      ...(percent(restUs) >= leastPercent ? [lineOf(depth, 'others', [restUs])] : []),
    ]
  }
  return [`${'self'.padStart(5)}  ${'all'.padStart(5)}`, ...linesOf(parts, 0)].join('\n')
}

function cell(percent?: number): string {
  return (percent === undefined ? '' : `${Math.round(percent)} %`).padStart(5)
}
