import { defaultLimits, type Store } from '@varve/store'
import { deepEqual, equal, ok } from 'node:assert/strict'
import { contractGroup, type ContractCase } from '../contract-case.ts'
import { atOnce, refusalOf, rejectsWith } from '../expectations.ts'
import { startIdleRun } from '../test-run.ts'
import { odd } from './ids.ts'

/** Every byte there is, and then some: nothing that is text, ends at a NUL or has the size of a block. */
const allBytes = Uint8Array.from({ length: 1001 }, (_, i) => i % 256)

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** What the store has under an id, as plain numbers: the class of the bytes may differ, their values may not. */
async function kept(store: Store, id: string): Promise<readonly number[] | undefined> {
  const sealed = await store.secrets.get(id)
  ok(sealed === undefined || sealed instanceof Uint8Array)
  return sealed && [...sealed]
}

export const secretCases: readonly ContractCase[] = contractGroup('secrets', {
  'sealed bytes come back as they were put': async ({ store }) => {
    await store.secrets.put('s-1', allBytes)
    await store.secrets.put('s-2', bytes('two'))

    deepEqual(await kept(store, 's-1'), [...allBytes])
    deepEqual(await kept(store, 's-2'), [...bytes('two')])
  },

  'there is nothing under an id that was never put': async ({ store }) => {
    await store.secrets.put('s-1', allBytes)

    equal(await store.secrets.get('s-2'), undefined)
  },

  'the same bytes may be put again': async ({ store }) => {
    await store.secrets.put('s-1', allBytes)

    await store.secrets.put('s-1', Uint8Array.from(allBytes))

    deepEqual(await kept(store, 's-1'), [...allBytes])
  },

  'other bytes for an id are SECRET_CONFLICT and change nothing': async ({ store }) => {
    await store.secrets.put('s-1', bytes('first'))

    for (const other of ['other', 'firs', 'first ']) {
      await rejectsWith('SECRET_CONFLICT', async () => store.secrets.put('s-1', bytes(other)))
    }

    deepEqual(await kept(store, 's-1'), [...bytes('first')])
  },

  'of different bytes put at once under one id, one value wins and all others are told': async ({ store }) => {
    const refusals = await atOnce(20, async (n) => refusalOf(async () => store.secrets.put('s-1', bytes(`value ${n}`))))

    const winner = refusals.indexOf(undefined)
    deepEqual(await kept(store, 's-1'), [...bytes(`value ${winner}`)])
    equal(refusals.filter((refusal) => refusal === 'SECRET_CONFLICT').length, 19)
  },

  'what was erased is gone, and nothing else is': async ({ store }) => {
    await store.secrets.put('s-1', allBytes)
    await store.secrets.put('s-2', allBytes)

    await store.secrets.erase('s-1')

    equal(await store.secrets.get('s-1'), undefined)
    deepEqual(await kept(store, 's-2'), [...allBytes])
  },

  'erasing twice, also at once, is fine': async ({ store }) => {
    await store.secrets.put('s-1', allBytes)

    await atOnce(5, async () => store.secrets.erase('s-1'))
    await store.secrets.erase('s-1')

    equal(await store.secrets.get('s-1'), undefined)
  },

  'what was erased stays so: no put brings it back': async ({ store }) => {
    await store.secrets.put('s-1', allBytes)
    await store.secrets.erase('s-1')

    await rejectsWith('SECRET_ERASED', async () => store.secrets.put('s-1', allBytes))
    await rejectsWith('SECRET_ERASED', async () => store.secrets.put('s-1', bytes('other')))

    equal(await store.secrets.get('s-1'), undefined)
  },

  'an id that was erased before it was put is barred: a slow put comes too late': async ({ store }) => {
    await store.secrets.erase('s-1')

    await rejectsWith('SECRET_ERASED', async () => store.secrets.put('s-1', allBytes))

    equal(await store.secrets.get('s-1'), undefined)
  },

  'nobody who holds the bytes can change what is kept': async ({ store }) => {
    const given = Uint8Array.from(allBytes)
    const putting = store.secrets.put('s-1', given)
    given.fill(7)
    await putting
    given.fill(8)
    deepEqual(await kept(store, 's-1'), [...allBytes])

    const got = await store.secrets.get('s-1')
    got?.fill(9)

    deepEqual(await kept(store, 's-1'), [...allBytes])
  },

  'a part of a larger buffer is put without the rest of it': async ({ store }) => {
    await store.secrets.put('s-1', allBytes.subarray(10, 20))

    deepEqual(await kept(store, 's-1'), [...allBytes.subarray(10, 20)])
  },

  'the largest value that is allowed fits, and one more byte is LIMIT_EXCEEDED': async ({ store }) => {
    const { sealedBytes } = defaultLimits
    const largest = new Uint8Array(sealedBytes).fill(255)

    await store.secrets.put('s-1', largest)
    await rejectsWith('LIMIT_EXCEEDED', async () => store.secrets.put('s-2', new Uint8Array(sealedBytes + 1)))

    ok(Buffer.from((await store.secrets.get('s-1')) ?? []).equals(largest))
    equal(await store.secrets.get('s-2'), undefined)
  },

  'what is no bytes is INVALID_ARGUMENT': async ({ store }) => {
    for (const wrong of [new Uint8Array(0), 'text', null, undefined, [1], new ArrayBuffer(1)] as Uint8Array[]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.secrets.put('s-1', wrong))
    }

    equal(await store.secrets.get('s-1'), undefined)
  },

  'an id that no store accepts is INVALID_ARGUMENT everywhere': async ({ store }) => {
    for (const id of ['', 'a\u0000b', 'x'.repeat(201)]) {
      await rejectsWith('INVALID_ARGUMENT', async () => store.secrets.put(id, allBytes))
      await rejectsWith('INVALID_ARGUMENT', async () => store.secrets.get(id))
      await rejectsWith('INVALID_ARGUMENT', async () => store.secrets.erase(id))
    }
  },

  'every valid id names its own value and no other': async ({ store }) => {
    for (const id of odd) await store.secrets.put(id, bytes(`of ${id}`))

    for (const id of odd) {
      deepEqual(await kept(store, id), [...bytes(`of ${id}`)])
      await store.secrets.erase(id)
      equal(await store.secrets.get(id), undefined)
    }
  },

  'a secret belongs to no run: the removal of one leaves it': async ({ store }) => {
    await startIdleRun(store, { runId: 's-1' })
    await store.secrets.put('s-1', allBytes)

    await store.runs.remove('s-1', { ifTerminal: false })

    deepEqual(await kept(store, 's-1'), [...allBytes])
  },
})
