import { allItems, type Json, type Store } from '@varve/store'
import { replaceParts } from './replace.ts'
import { asReference } from './secret.ts'

/**
 * Erases every secret that a run refers to: in its log, and in the posts that wait for it or were set aside.
 *
 * @returns the ids.
 */
export async function eraseSecretsOf({ events, inbox, secrets }: Store, runId: string): Promise<readonly string[]> {
  const ids = new Set<string>()
  // Before the others, where a post that is taken meanwhile is found then.
  for await (const { body } of allItems((page) => inbox.list(runId, page))) collect(body, ids)
  for await (const { body } of allItems((page) => inbox.rejected(runId, page))) collect(body, ids)
  for await (const { body } of events.read(runId)) collect(body, ids)
  for (const id of ids) await secrets.erase(id)
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
