import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { expect, onTestFinished, test } from 'vitest'
import { startPostgres } from '../../../../test/postgres/server.ts'
import { createPostgresLedger } from '../testing/place.ts'
import { depth, isLong, PATIENCE_MS } from './depth.ts'
import { playChaos, type ChaosReport } from './play-chaos.ts'

const seed = Number(process.env['VARVE_CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

test(
  'processes that are killed, paused, cut off and stopped lose nothing and do nothing twice, on Postgres',
  { timeout: PATIENCE_MS },
  async () => {
    const server = await startPostgres({ durable: true })
    onTestFinished(() => server.stop())
    const place = { kind: 'postgres', url: server.url, schema: 'chaos' } as const
    await createPostgresLedger(place)

    const report = await playChaos({
      place,
      server,
      workers: 4,
      random: randomOf(seed),
      patienceMs: depth.patienceMs,
      ...depth.postgres,
    })

    tell('postgres', report)
    expect(report.faults, `VARVE_CHAOS_SEED=${seed}`).toEqual([])
    expect(report.made).toMatchObject({ restarts: 1 })
    expect(Math.min(...Object.values(report.made))).toBeGreaterThan(0)
  },
)

test(
  'processes that are killed, paused and stopped lose nothing and do nothing twice, on one SQLite file',
  { timeout: PATIENCE_MS },
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'varve-chaos-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))

    const report = await playChaos({
      place: { kind: 'sqlite', folder },
      workers: 2,
      random: randomOf(seed),
      patienceMs: depth.patienceMs,
      ...depth.sqlite,
    })

    tell('sqlite', report)
    expect(report.faults, `VARVE_CHAOS_SEED=${seed}`).toEqual([])
    expect(report.made.kills + report.made.pauses + report.made.stops).toBeGreaterThan(2)
  },
)

/** The long form is played to see how it went, too. */
function tell(where: string, report: ChaosReport): void {
  if (isLong) console.log(where, JSON.stringify({ seed, ...report }))
}

/** mulberry32. */
function randomOf(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
