import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import type { Amounts, Workload } from '../../peers/workloads.ts'
import type { Cell, MeasuredPeer } from './compare.ts'
import type { PeerEntry } from './peer-list.ts'
import { measurePeer } from './peer-process.ts'

/** What is to be measured. */
export interface Plan {
  readonly peers: readonly PeerEntry[]
  readonly workloads: readonly Workload[]
  readonly rounds: number
  readonly amounts: Amounts
}

/** Measures all peers in turn, round by round, each on a database and in a folder that are new. */
export async function measurePeers(
  serverUrl: string,
  { peers, workloads, rounds, amounts }: Plan,
  told: (progress: string) => void,
): Promise<readonly MeasuredPeer[]> {
  const figures = new Map(peers.map((peer) => [peer, new Map<Workload, Cell>()]))
  for (let round = 1; round <= rounds; round++) {
    for (const [peer, cells] of figures) {
      const startedAt = performance.now()
      const wanted = workloads.filter((workload) => peer.workloads.includes(workload))
      const outcomes = await withLocation(serverUrl, (location) =>
        measurePeer({ file: `./${peer.file}`, variant: peer.variant, location, workloads: wanted, amounts }),
      )
      for (const [workload, outcome] of outcomes) {
        const { values, ...rest } = cells.get(workload) ?? { values: [] }
        if ('value' in outcome) cells.set(workload, { values: [...values, outcome.value], ...rest })
        else cells.set(workload, { values: [...values, null], error: outcome.error })
      }
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0)
      told(`round ${round} of ${rounds}: ${peer.name}, ${seconds} s`)
    }
  }
  return [...figures].map(([peer, cells]) => ({ peer, cells }))
}

async function withLocation<T>(
  serverUrl: string,
  use: (location: { readonly url: string; readonly folder: string }) => Promise<T>,
): Promise<T> {
  const name = `peer_${Date.now().toString(36)}`
  const url = new URL(serverUrl)
  url.pathname = name
  // On the disk of the current folder: a temporary folder may lie in memory, where a flush costs nothing.
  const parent = path.resolve('.varve')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(path.join(parent, 'peer-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  process.once('exit', remove)
  await onServer(serverUrl, `create database ${name}`)
  try {
    return await use({ url: url.href, folder })
  } finally {
    await onServer(serverUrl, `drop database ${name} with (force)`)
    // What the one before has left to be written is not for the next one to pay.
    await onServer(serverUrl, 'checkpoint')
    process.removeListener('exit', remove)
    remove()
  }
}

/** @returns the first value of the first row, if there is any. */
export async function onServer(url: string, statement: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(statement)
    return Object.values(rows[0] ?? {})[0]
  } finally {
    await client.end()
  }
}
