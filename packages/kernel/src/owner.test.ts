import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { canRecognizeDead, isKnownDead, processOwner } from './owner.ts'

const us = processOwner()

test('every kernel of a process is an owner of its own', () => {
  expect(processOwner().id).not.toBe(us.id)
  expect(processOwner()).toMatchObject({ pid: process.pid, boot: us.boot, startedAt: us.startedAt })
})

describe('an owner counts as alive', () => {
  test('when it is this process', () => {
    expect(isKnownDead(processOwner(), us)).toBe(false)
  })

  test.for(['boot', 'pidNamespace'] as const)('when its %s differs from ours or cannot be read', (field) => {
    const gone = { ...us, pid: 2 ** 22 + 1, startedAt: '1' }

    expect(isKnownDead({ ...gone, [field]: 'other' }, us)).toBe(false)
    expect(isKnownDead({ ...gone, [field]: null }, us)).toBe(false)
    expect(isKnownDead({ ...gone, [field]: null }, { ...us, [field]: null })).toBe(false)
  })

  test('when its start cannot be compared', () => {
    expect(isKnownDead({ ...us, startedAt: null }, us)).toBe(false)
  })
})

describe.runIf(canRecognizeDead(us))('an owner is known to be dead', () => {
  test('when its process has ended', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await once(child, 'exit')

    expect(isKnownDead({ ...us, pid: child.pid!, startedAt: '1' }, us)).toBe(true)
  })

  test('when another process has its id now', () => {
    expect(isKnownDead({ ...us, startedAt: '1' }, us)).toBe(true)
  })

  test('but not while it lives', async () => {
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'ignore'] })
    await once(child, 'spawn')
    const owner = { ...us, pid: child.pid!, startedAt: null }

    const dead = isKnownDead(owner, us)
    child.stdin.end()
    await once(child, 'exit')

    expect(dead).toBe(false)
    expect(isKnownDead(owner, us)).toBe(true)
  })
})

test('without /proc nobody is known to be dead', () => {
  const elsewhere = { ...us, boot: null, pidNamespace: null, startedAt: null }

  expect(canRecognizeDead(elsewhere)).toBe(false)
  expect(isKnownDead({ ...elsewhere, pid: 2 ** 22 + 1 }, elsewhere)).toBe(false)
})
