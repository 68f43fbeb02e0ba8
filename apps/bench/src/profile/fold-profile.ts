import type { Profiler } from 'node:inspector'
import { pathOf, type FramePath } from './frame-path.ts'
import { isAside, isIdle, timesOf } from './sample-times.ts'

/** A package, folder, file or function, and the time that was spent there. */
export interface Part {
  readonly name: string
  /** In what it does itself, in us. */
  readonly selfUs: number
  /** Also in whatever it calls; what calls itself counts once. */
  readonly allUs: number
  /** Most time first. */
  readonly parts: readonly Part[]
}

/** Where the time of a profile went. */
export interface Folded {
  /** While something was done. */
  readonly busyUs: number
  /** While the event loop waited for the world. */
  readonly idleUs: number
  /** Packages. */
  readonly parts: readonly Part[]
}

interface Time {
  selfUs: number
  allUs: number
  readonly parts: Map<string, Time>
}

/** What the profiler says besides functions, in words. */
const engine: Readonly<Record<string, string>> = {
  '(garbage collector)': 'garbage collection',
  '(program)': 'outside of JavaScript',
}

/** Adds up a profile by where its functions are. */
export function foldProfile(profile: Profiler.Profile): Folded {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map(
    profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  )
  const root = newTime()
  let idleUs = 0
  for (const [id, us] of timesOf(profile)) {
    const frame = nodes.get(id)?.callFrame
    if (frame !== undefined && isIdle(frame)) idleUs += us
    if (frame === undefined || isAside(frame)) continue
    const stack: Profiler.ProfileNode[] = []
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const node = nodes.get(at)
      if (node !== undefined) stack.push(node)
    }
    add(root, stack, us)
  }
  return { busyUs: root.allUs, idleUs, parts: partsOf(root) }
}

/** @param stack - innermost first. */
function add(root: Time, stack: readonly Profiler.ProfileNode[], us: number): void {
  root.allUs += us
  const seen = new Set<Time>()
  for (const [depth, path] of pathsOf(stack).entries()) {
    let time = root
    for (const name of path) {
      time = entry(time.parts, name)
      if (seen.has(time)) continue
      seen.add(time)
      time.allUs += us
    }
    if (depth > 0) continue
    let self = root
    for (const name of path) {
      self = entry(self.parts, name)
      self.selfUs += us
    }
  }
}

/** Where the functions of a stack are, innermost first; what has no place is a part of the file that called it. */
function pathsOf(stack: readonly Profiler.ProfileNode[]): readonly FramePath[] {
  const paths = stack.map(({ callFrame }) => pathOf(callFrame))
  const placed = paths.filter((path) => path !== undefined)
  if (paths[0] !== undefined) return placed
  const name = stack[0]?.callFrame.functionName ?? ''
  const [caller] = placed
  if (engine[name] !== undefined || caller === undefined) return [[engine[name] ?? 'native code'], ...placed]
  const [place, by] = [caller.slice(0, -1), caller.at(-1)]
  return [[...place, name === '' ? `native, by ${by}` : `${name}, native`], ...placed]
}

function newTime(): Time {
  return { selfUs: 0, allUs: 0, parts: new Map() }
}

function entry(parts: Map<string, Time>, name: string): Time {
  const known = parts.get(name)
  if (known !== undefined) return known
  const time = newTime()
  parts.set(name, time)
  return time
}

function partsOf({ parts }: Time): readonly Part[] {
  return [...parts]
    .map(([name, time]) => ({ name, selfUs: time.selfUs, allUs: time.allUs, parts: partsOf(time) }))
    .toSorted((a, b) => b.selfUs - a.selfUs)
}
