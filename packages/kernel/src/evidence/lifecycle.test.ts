import { describe, expect, test } from 'vitest'
import { RecordedEvent } from '../log/recorded-event.ts'
import { applyToSystem, emptySystem, statusOf, type System } from '../run/system.ts'
import { runGolden } from '../testing/golden.ts'
import { readLog, runStarted, sealLog } from '../testing/sealed-log.ts'
import { lifecycle } from './lifecycle.ts'

const long = 'x'.repeat(10_000)

/** Folds a log's lifecycle. */
function folded(drafts: Parameters<typeof sealLog>[1]) {
  const folding = lifecycle('r')
  for (const stored of sealLog('r', drafts)) folding.add(new RecordedEvent(folding.system.end, stored))
  return folding.system
}

function closedKeys({ closed }: System): string[] {
  return Array.from(closed, ([key]) => key)
}

describe('the lifecycle alone', () => {
  test('stands after every event as the fold by which runs are driven', async () => {
    const { store } = await runGolden()
    for (const runId of ['sum', 'rich', 'parent', 'rich-fork']) {
      const system = emptySystem(runId)
      const folding = lifecycle(runId)
      for (const stored of await readLog(store, runId)) {
        const recorded = new RecordedEvent(system.end, stored)
        applyToSystem(system, recorded.event)
        folding.add(recorded)

        expect(folding.system.end).toEqual(system.end)
        expect(statusOf(folding.system)).toBe(statusOf(system))
        expect([...folding.system.open.keys()]).toEqual([...system.open.keys()])
        expect(closedKeys(folding.system)).toEqual(closedKeys(system))
      }
    }
  })

  test('keeps no value and no long text', () => {
    const system = folded([
      runStarted('w'),
      { type: 'ActionRequested', data: { key: 'a', action: long, input: long, effect: 'pure' } },
      { type: 'Interrupted', data: { key: 'i', kind: long, value: long } },
      { type: 'SignalReceived', data: { signalId: 's', name: long, value: long } },
      {
        type: 'ActionFailed',
        data: { key: 'a', error: { message: long, kind: 'permanent', name: long, code: long }, attempts: 1 },
      },
    ])

    const kept = JSON.stringify([[...system.open], [...system.closed], system.signals, system.removed])
    expect(kept.length).toBeLessThan(2000)
  })

  test('adds up nothing that attempts have used: that would cost all names there are each time', () => {
    const error = { message: 'busy', kind: 'transient' }
    const usage = { tokens: 3 }
    const system = folded([
      runStarted('w'),
      { type: 'ActionRequested', data: { key: 'a', action: 'a', input: null, effect: 'pure' } },
      { type: 'ActionAttemptFailed', data: { key: 'a', attempt: 1, error, retryAt: 1000, usage } },
      { type: 'ActionAttemptStarted', data: { key: 'a', attempt: 2 } },
      { type: 'ActionSucceeded', data: { key: 'a', output: null, attempts: 2, usage } },
    ])

    expect(system.counts).toMatchObject({ requests: 1, attempts: 2 })
    expect(system.counts.usage).toEqual({})
    expect(closedKeys(system)).toEqual(['a'])
  })

  test('finds the signal of a wait however long its name is', () => {
    const system = folded([
      runStarted('w'),
      { type: 'WaitStarted', data: { key: 'w', signal: long } },
      { type: 'SignalReceived', data: { signalId: 's', name: long, value: 1 } },
      { type: 'SignalDelivered', data: { key: 'w', signalId: 's', value: 1 } },
    ])

    expect(system.signals).toEqual([])
    expect(closedKeys(system)).toEqual(['w'])
  })

  test('takes any number of requests to cancel', () => {
    const cancel = { type: 'CancelRequested', data: { reason: 'enough' } }

    const system = folded([runStarted('w'), cancel, cancel, cancel, { type: 'Canceled', data: { reason: 'enough' } }])

    expect(statusOf(system)).toBe('canceled')
    expect(system.end.seq).toBe(5)
    expect(() => folded([runStarted('w'), cancel, { type: 'Canceled', data: { reason: 'x' } }, cancel])).toThrow(
      'the run has ended',
    )
  })
})
