import { allItems, StoreError, type Json, type Store } from '@varve/store'
import { replaceParts } from './replace.ts'
import { asReference } from './secret.ts'

/**
 * Erases every secret that a run refers to: in its log, and in the posts that wait for it or were set aside.
 *
 * @returns the ids.
 * @throws StoreError `CORRUPT_LOG` when one of its texts is no JSON; nothing is erased then.
 */
export async function eraseSecretsOf({ events, inbox, secrets }: Store, runId: string): Promise<readonly string[]> {
  const ids = new Set<string>()
  // Before the others, where a post that is taken meanwhile is found then.
  for await (const { body } of allItems((page) => inbox.list(runId, page))) collect(runId, body, ids)
  for await (const { body } of allItems((page) => inbox.rejected(runId, page))) collect(runId, body, ids)
  for await (const { body } of events.read(runId)) collect(runId, body, ids)
  for (const id of ids) await secrets.erase(id)
  return [...ids]
}

function collect(runId: string, body: string, ids: Set<string>): void {
  if (body.includes('"$secret"')) addReferences(parsed(runId, body), ids)
}

function parsed(runId: string, body: string): Json {
  try {
    return JSON.parse(body) as Json
  } catch (cause) {
    const text = `what run ${runId} says of its secrets is no JSON; restore the run from a backup`
    throw new StoreError('CORRUPT_LOG', text, { runId, cause })
  }
}

/** Adds the ids of the secrets that a recorded value refers to. */
export function addReferences(value: unknown, ids: Set<string>): void {
  const visit = (part: object): undefined => {
    const reference = asReference(part as Json)
    if (reference !== undefined) ids.add(reference.$secret)
  }
  replaceParts(value, visit, { name: 'value', maxDepth: Infinity })
}
