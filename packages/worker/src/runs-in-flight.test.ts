import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type {} from '../../../test/postgres/global-setup.ts'
import type { Place } from './testing/place.ts'
import type { Measured } from './testing/runs-in-flight.ts'

const program = path.join(import.meta.dirname, 'testing', 'runs-in-flight.ts')

/** Resident at most, of a process with Node, store, kernel and worker. */
const PEAK_BYTES = 300_000_000

/** On its heap at most, garbage aside. */
const HELD_BYTES = 75_000_000

/** Without bounds V8 leaves garbage lying for as long as the machine has room for it. */
const heap = ['--max-old-space-size=150', '--max-semi-space-size=8']

const schema = `in_flight_${crypto.randomUUID().replaceAll('-', '')}`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'varve-in-flight-'))
})
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  const admin = new pg.Client({ connectionString: inject('pgUrl') })
  await admin.connect()
  await admin.query(`drop schema if exists ${schema} cascade`)
  await admin.end()
})

function placeOf(kind: Place['kind']): Place {
  return kind === 'sqlite' ? { kind, folder } : { kind, url: inject('pgUrl'), schema }
}

async function measure(place: Place, part: 'begin' | 'go on'): Promise<Measured> {
  const args = [...heap, '--expose-gc', '--conditions=@varve/source', program, JSON.stringify(place), part]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 })
  return JSON.parse(stdout) as Measured
}

test.concurrent.for(['sqlite', 'postgres'] as const)(
  'a thousand runs with a history, each in the middle of an action, fit into a process of less than 300 MB: %s',
  { timeout: 130_000 },
  async (kind) => {
    const place = placeOf(kind)

    const begun = await measure(place, 'begin')
    const takenOver = await measure(place, 'go on')

    expect(begun).toMatchObject({ open: 1000, events: [42, 42] })
    expect(begun.peakBytes).toBeLessThan(PEAK_BYTES)
    expect(begun.heldBytes).toBeLessThan(HELD_BYTES)
    // An orphan is abandoned, and begun once more.
    expect(takenOver).toMatchObject({ open: 1000, events: [44, 44], completed: 1000 })
    expect(takenOver.peakBytes).toBeLessThan(PEAK_BYTES)
    expect(takenOver.heldBytes).toBeLessThan(HELD_BYTES)
  },
)
