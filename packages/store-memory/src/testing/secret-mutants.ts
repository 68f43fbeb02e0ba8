import type { Store } from '@varve/store'
import { spoiling, unless, type Mutant } from './mutant.ts'

type Secrets = Store['secrets']

/** What the store has under an id; `otherwise` where it has nothing. */
async function keptOr(healthy: Secrets, id: string, otherwise: Uint8Array): Promise<Uint8Array> {
  return (await healthy.get(id)) ?? otherwise
}

/** A store that has another name for every id. */
function renaming(rename: (id: string) => string): (healthy: Secrets) => Partial<Secrets> {
  return (healthy) => ({
    put: async (id, sealed) => healthy.put(rename(id), sealed),
    get: async (id) => healthy.get(rename(id)),
    erase: async (id) => healthy.erase(rename(id)),
  })
}

/** A store that keeps something else than it was given. */
function rewriting(rewrite: (sealed: Uint8Array) => Uint8Array): (healthy: Secrets) => Partial<Secrets> {
  return (healthy) => ({
    put: async (id, sealed) => healthy.put(id, sealed instanceof Uint8Array ? rewrite(sealed) : sealed),
  })
}

const weakPuts = spoiling('secrets', 'secrets', {
  'a second value takes the place of the first': (healthy) => {
    const last = new Map<string, Uint8Array>()
    return {
      put: async (id, sealed) => {
        const put = async (): Promise<void> => healthy.put(id, sealed)
        await unless('SECRET_CONFLICT', put, async () => void last.set(id, Uint8Array.from(sealed)))
      },
      get: async (id) => last.get(id) ?? healthy.get(id),
    }
  },
  'another value is passed over in silence': (healthy) => ({
    put: async (id, sealed) =>
      unless(
        'SECRET_CONFLICT',
        () => healthy.put(id, sealed),
        async () => undefined,
      ),
  }),
  'the same bytes are refused the second time': (healthy) => ({
    put: async (id, sealed) => healthy.put(id, (await healthy.get(id)) === undefined ? sealed : Uint8Array.of(0)),
  }),
  'values are compared by their length': (healthy) => ({
    put: async (id, sealed) => {
      const kept = await keptOr(healthy, id, sealed)
      await healthy.put(id, kept.length === sealed.length ? kept : sealed)
    },
  }),
  'values are compared by how they begin': (healthy) => ({
    put: async (id, sealed) => {
      const kept = await keptOr(healthy, id, sealed)
      await healthy.put(id, Buffer.compare(kept, sealed.subarray(0, kept.length)) === 0 ? kept : sealed)
    },
  }),
  'values are kept as text': rewriting((sealed) => new TextEncoder().encode(new TextDecoder().decode(sealed))),
  'values end at a NUL': rewriting((sealed) => sealed.subarray(0, Math.max(1, sealed.indexOf(0)))),
  'the whole buffer is kept for a part of it': rewriting((sealed) => new Uint8Array(sealed.buffer)),
  'values of any size are cut to what fits': rewriting((sealed) => sealed.subarray(0, 1024 * 1024)),
  'values of 64 KiB and more are cut': rewriting((sealed) => sealed.subarray(0, 65_535)),
  'no bytes are kept as one': rewriting((sealed) => (sealed.length === 0 ? Uint8Array.of(0) : sealed)),
})

const weakErasures = spoiling('secrets', 'secrets', {
  'nothing is erased': () => ({ erase: async () => undefined }),
  'everything is erased': (healthy) => {
    const ids = new Set<string>()
    return {
      put: async (id, sealed) => {
        await healthy.put(id, sealed)
        ids.add(id)
      },
      erase: async (id) => {
        for (const each of [...ids, id]) await healthy.erase(each)
      },
    }
  },
  'an erased id holds no bytes instead of nothing': (healthy) => {
    const erased = new Set<string>()
    return {
      get: async (id) => (erased.has(id) ? new Uint8Array(0) : healthy.get(id)),
      erase: async (id) => {
        await healthy.erase(id)
        erased.add(id)
      },
    }
  },
  'only what is there can be erased': (healthy) => ({
    erase: async (id) => {
      if (id.length < 1 || id.length > 200 || id.includes('\0') || (await healthy.get(id)) !== undefined)
        await healthy.erase(id)
    },
  }),
  'a put after an erasure is passed over in silence': (healthy) => ({
    put: async (id, sealed) =>
      unless(
        'SECRET_ERASED',
        () => healthy.put(id, sealed),
        async () => undefined,
      ),
  }),
  'a put brings back what was erased': (healthy) => {
    const again = new Map<string, Uint8Array>()
    return {
      put: async (id, sealed) => {
        const put = async (): Promise<void> => healthy.put(id, sealed)
        await unless('SECRET_ERASED', put, async () => void again.set(id, sealed))
      },
      get: async (id) => again.get(id) ?? healthy.get(id),
    }
  },
})

const weakOthers = spoiling('secrets', 'secrets', {
  'it keeps the memory of its caller': (healthy) => {
    const given = new Map<string, Uint8Array>()
    return {
      put: async (id, sealed) => {
        await healthy.put(id, sealed)
        given.set(id, sealed)
      },
      get: async (id) => ((await healthy.get(id)) === undefined ? undefined : given.get(id)),
    }
  },
  'it reads the bytes of a put some time after the call': (healthy) => ({
    put: async (id, sealed) => {
      await Promise.resolve()
      await healthy.put(id, sealed)
    },
  }),
  'it hands out its own memory': (healthy) => {
    const own = new Map<string, Uint8Array>()
    return {
      get: async (id) => {
        const kept = await healthy.get(id)
        if (kept === undefined) return undefined
        own.set(id, own.get(id) ?? kept)
        return own.get(id)
      },
    }
  },
  'every get answers the value that was put last': (healthy) => {
    let last: string | undefined
    return {
      put: async (id, sealed) => {
        await healthy.put(id, sealed)
        last = id
      },
      get: async (id) => healthy.get(last ?? id),
    }
  },
  'ids are told apart without their case': renaming((id) => id.toLowerCase()),
  'ids are normalised': renaming((id) => id.normalize('NFC')),
  'ids are cut': renaming((id) => id.slice(0, 100)),
})

const weakRemovals = spoiling('secrets', 'runs', {
  'the removal of a run takes the secret of its name along': (healthy, store) => ({
    remove: async (runId, options) => {
      await store.secrets.erase(runId)
      return healthy.remove(runId, options)
    },
  }),
})

/** Stores that are wrong in how they keep secrets. */
export const secretMutants: readonly Mutant[] = [...weakPuts, ...weakErasures, ...weakOthers, ...weakRemovals]
