import { canonicalize, type Json, type Limits } from '@varve/store'

/** A copy of a value as the log will hold it. @throws StoreError `NOT_JSON` | `LIMIT_EXCEEDED` with the path. */
export function detach({ limits }: { readonly limits: Limits }, value: unknown, name: string): Json {
  return canonicalize(value, { name, maxDepth: limits.depth }).copy
}
