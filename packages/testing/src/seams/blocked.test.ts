import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createKernel, processOwner, systemClock } from '@varve/kernel'
import { sqliteStore } from '@varve/store-sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BLOCKED_LEASE_MS, payingOnce } from './paying-once.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'varve-blocked-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** A process that keeps its event loop busy in a handler until it is told to go on. */
function blocker() {
  const [file, go, effects] = ['runs.db', 'go', 'effects'].map((name) => path.join(folder, name)) as [
    ...[string, string, string],
  ]
  const script = fileURLToPath(new URL('blocker.ts', import.meta.url))
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(process.execPath, ['--conditions=@varve/source', script, file, go, effects], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  const printed = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const until = async (wanted: string): Promise<void> => {
    for (let next = await printed.next(); next.done !== true; next = await printed.next()) {
      lines.push(next.value)
      if (next.value.startsWith(wanted)) return
    }
    throw new Error(`the process ended without saying ${wanted}: ${lines.join()}`)
  }
  return {
    ...{ file, lines, until },
    goOn: () => {
      writeFileSync(go, '')
    },
    paid: () => readFileSync(effects, 'utf8').trimEnd().split('\n'),
  }
}

/** Resolves when the lease on the run has run out. */
async function runOut(store: Awaited<ReturnType<typeof sqliteStore>>): Promise<void> {
  for (;;) {
    const until = (await store.runs.find('r'))?.lease?.until ?? 0
    const left = until - (await store.now())
    if (left < 0) return
    await new Promise<void>((resolve) => {
      systemClock.schedule(left + 1, resolve)
    })
  }
}

test('a process whose handler blocked it for longer than its lease keeps the run that nobody took', async () => {
  const { file, lines, until, goOn, paid } = blocker()
  await until('begun')
  await using store = await sqliteStore({ path: file })
  await runOut(store)

  goOn()
  await until('ended')

  expect(lines.at(-1)).toBe('ended completed')
  expect(lines.filter((line) => line.startsWith('posted'))).toEqual([])
  expect(await store.runs.find('r')).toMatchObject({ token: 1, recoveries: 0, status: 'completed' })
  expect(paid()).toEqual(['paid'])
})

test('a process that was blocked while another one took its run appends nothing, and posts what came of it', async () => {
  const { file, lines, until, goOn, paid } = blocker()
  await until('begun')
  await using store = await sqliteStore({ path: file })
  await runOut(store)
  const owner = processOwner()
  await store.runs.acquire('r', { owner, leaseMs: 100 * BLOCKED_LEASE_MS })

  goOn()
  await until('posted')
  const workflow = payingOnce(() => {
    throw new Error('it was called again')
  })
  await using kernel = createKernel({ store, workflows: [workflow], owner })
  const outcome = await kernel.run('r')
  await until('ended')

  expect(outcome).toMatchObject({ status: 'completed', output: { status: 'succeeded', output: 'paid' } })
  expect(lines.filter((line) => line.startsWith('committed'))).toEqual([
    ...['committed RunStarted', 'committed ActionRequested'],
  ])
  expect(lines).toContain('posted ActionSucceeded')
  expect(paid()).toEqual(['paid'])
})
