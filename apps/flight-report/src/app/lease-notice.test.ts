import { processOwner } from '@varve/kernel'
import type { Owner } from '@varve/store'
import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { leaseNotice } from './lease-notice.ts'

const now = 1_000_000
/** What a process can say of itself where there is no `/proc`. */
const unknown: Owner = { ...processOwner(), boot: null, pidNamespace: null, startedAt: null }
const known: Owner = { ...processOwner(), boot: 'a boot', pidNamespace: 'a namespace', startedAt: '1' }
const row = (owner: Owner, until = now + 9_400) => ({ lease: { owner, until } })

test('says nothing of a run that nobody holds', () => {
  expect(leaseNotice({}, known, now)).toBeUndefined()
  expect(leaseNotice(row(unknown, now), known, now)).toBeUndefined()
})

test('says how long it waits where a dead process cannot be told from a living one', () => {
  const notice = leaseNotice(row({ ...unknown, pid: 4711 }), unknown, now)

  expect(notice).toContain('Process 4711')
  expect(notice).toContain('up to 10 s')
})

test('says so as well of a process on another machine', () => {
  expect(leaseNotice(row({ ...known, boot: 'another boot' }), known, now)).toContain('up to 10 s')
})

test('says that it follows a process that is at work', () => {
  expect(leaseNotice(row(known), known, now)).toBe(`Process ${process.pid} is at work on this run: following it`)
})

test('says nothing of a process that is known to be dead: its run is taken over at once', () => {
  const { pid } = spawnSync(process.execPath, ['--version'])

  expect(leaseNotice(row({ ...known, pid }), known, now)).toBeUndefined()
})
