import type { Json, Store } from '@varve/store'
import { replaceParts } from './replace.ts'
import { asReference } from './secret.ts'

/**
 * Erases every secret that a run refers to: in its log, and in the posts that wait for it or were set aside.
 *
 * @returns the ids, in the order in which they were found.
 */
export async function eraseSecretsOf(store: Store, runId: string, maxWaiting: number): Promise<readonly string[]> {
  const ids = new Set<string>()
  for await (const { body } of store.events.read(runId)) collect(body, ids)
  for (const { body } of await store.inbox.list(runId, { limit: maxWaiting })) collect(body, ids)
  let cursor: string | undefined
  do {
    const page = await store.inbox.rejected(runId, { limit: 100, ...(cursor !== undefined && { cursor }) })
    for (const { body } of page.items) collect(body, ids)
    cursor = page.next
  } while (cursor !== undefined)
  for (const id of ids) await store.secrets.erase(id)
  return [...ids]
}

function collect(body: string, ids: Set<string>): void {
  if (body.includes('"$secret"')) addReferences(JSON.parse(body) as Json, ids)
}

/** Adds the ids of the secrets that a recorded value refers to. */
export function addReferences(value: unknown, ids: Set<string>): void {
  const visit = (part: object): undefined => {
    const reference = asReference(part as Json)
    if (reference !== undefined) ids.add(reference.$secret)
  }
  replaceParts(value, visit, { name: 'value', maxDepth: Infinity })
}
