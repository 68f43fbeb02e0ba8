import type {} from '../../../../test/bundles/global-setup.ts'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { BoundaryName } from '../boundaries.ts'
import { isDecisive, PATIENCE_MS } from './depth.ts'
import type { VictimEnd, VictimTask } from './victim.ts'

/** Processes at a time. */
const AT_ONCE = 2

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-sigkill-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

test(
  'a process killed by the system at any append or action leaves nothing undone and nothing done twice',
  { timeout: PATIENCE_MS },
  async () => {
    const [undisturbed] = (await runVictim([taskFor('undisturbed')])).ended
    const targets = undisturbed?.boundaries.filter((boundary) => isDecisive(boundary)) ?? []
    const victims = targets.map((killAt): VictimTask & { killAt: BoundaryName } => ({ ...taskFor(killAt), killAt }))

    const deaths = await inTurns(victims, (task) => runVictim([task]))
    const { ended } = await runVictim(victims.map((task) => ({ ...taskFor(task.killAt), life: 2 })))

    // By the clock of the machine two results may share an append: then the last one is not come to.
    const killed = deaths.filter(({ at, signal }, i) => at === targets[i] && signal === 'SIGKILL')
    const unharmed = deaths.filter((death) => death.ended.length === 1 && death.signal === null)
    expect(killed.length).toBeGreaterThan(30)
    expect(killed.length + unharmed.length).toBe(targets.length)
    const expected = effectsOf('undisturbed')
    for (const { killAt, path: file } of victims) {
      const end = ended.find((each) => each.path === file)
      expect(end, killAt).toMatchObject({ runs: undisturbed?.runs, faults: [] })
      expectEffects(effectsOf(killAt), expected, killAt)
    }
  },
)

/** At most once, or in doubt and settled; every other action under its own key, and none under another. */
function expectEffects(effects: readonly string[], expected: readonly string[], label: string): void {
  const payments = effects.filter((effect) => effect.endsWith(' pay'))
  expect(payments.length, `${label}: payments`).toBeLessThanOrEqual(1)
  expect(new Set([...effects, ...expected.filter((effect) => effect.endsWith(' pay'))]), label).toEqual(
    new Set(expected),
  )
  expect(effects.length, `${label}: repeated`).toBeLessThanOrEqual(expected.length + 2)
}

function taskFor(name: string): VictimTask {
  const file = path.join(folder, name.replaceAll(':', '-'))
  return { path: `${file}.db`, effects: `${file}.effects`, life: 1 }
}

function effectsOf(name: string): string[] {
  try {
    return readFileSync(taskFor(name).effects, 'utf8').trimEnd().split('\n')
  } catch {
    return []
  }
}

interface VictimDeath {
  /** The boundary at which it was killed. */
  readonly at?: string
  readonly signal: NodeJS.Signals | null
  readonly ended: readonly VictimEnd[]
}

/** Runs a process, and kills it when it says that it has come to its boundary. */
async function runVictim(tasks: readonly VictimTask[]): Promise<VictimDeath> {
  const { NODE_OPTIONS: _, ...env } = process.env
  const victim = spawn(process.execPath, [inject('program'), JSON.stringify(tasks)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const gone = new Promise<NodeJS.Signals | null>((resolve) => victim.once('close', (_code, signal) => resolve(signal)))
  const ended: VictimEnd[] = []
  let at: string | undefined
  for await (const line of createInterface({ input: victim.stdout })) {
    if (line.startsWith('ended ')) ended.push(JSON.parse(line.slice('ended '.length)) as VictimEnd)
    else if (line.startsWith('at ')) {
      at = line.slice('at '.length)
      victim.kill('SIGKILL')
    }
  }
  return { ...(at !== undefined && { at }), signal: await gone, ended }
}

async function inTurns<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const waiting = [...items.entries()]
  const take = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) results[next[0]] = await work(next[1])
  }
  await Promise.all(Array.from({ length: AT_ONCE }, take))
  return results
}
