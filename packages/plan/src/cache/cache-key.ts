import type { ArtifactRef } from '@varve/kernel'
import { canonicalJson, contentId, type ContentId, type Json } from '@varve/store'
import type { ManifestState } from '../manifest/manifest-state.ts'
import type { RunRequest } from '../schedule/requests.ts'

/** All that an output was computed from, each part by its name: a text where it is short, its hash where it is not. */
export type KeyParts = Readonly<Record<string, string>>

/** Finds a state of the same plan by its id. */
export type FindState = (id: string) => ManifestState | undefined

/** The parts that the output of an execution depends on. */
export function keyParts(
  state: ManifestState,
  find: FindState,
  request: RunRequest,
  environment: Readonly<Record<string, string>>,
): KeyParts {
  const { needs, params, item } = request
  return {
    ...{ state: state.id, version: state.version, code: state.code, output: state.output },
    ...named('needs', needs, (ref, name) => needPart(ref, find(madeBy(state, name)))),
    ...(params !== undefined && paramParts(params)),
    ...(item !== undefined && {
      item: 'value' in item ? hashOf(item.value) : item.artifact.$artifact,
      // The code sees it, and it may come from the item's place in the list.
      key: item.key,
    }),
    ...named('environment', environment, (hash) => hash),
  }
}

/** The state that an execution knows under a name: the runs of a map's items see what is `with` it, and not what its list is made of. */
function madeBy({ kind, needs }: ManifestState, name: string): string {
  return needs[kind === 'map' ? `with ${name}` : name]?.state ?? ''
}

/** Equal bytes reach the code as a value, as bytes with a media type, or as a list of either: as the state says that made them. */
function needPart(ref: ArtifactRef | null, made: ManifestState | undefined): string {
  if (ref === null) return 'skipped'
  const { $artifact, mediaType } = ref
  if (made?.list === true) return `${$artifact} list of ${made.makes}`
  return made?.makes === 'bytes' ? `${$artifact} ${mediaType}` : $artifact
}

/** The key that outputs computed from these parts are kept under. */
export function cacheKey(parts: KeyParts): ContentId {
  return contentId(canonicalJson({ format: 1, parts }))
}

/** Names of the parts that differ between two keys. */
export function changedParts(before: KeyParts, now: KeyParts): readonly string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((name) => before[name] !== now[name]).sort()
}

/** The params one by one, so that it can be told which of them changed. */
function paramParts(params: Json): KeyParts {
  const isTold = typeof params === 'object' && params !== null && !Array.isArray(params)
  // Nothing would be told of an object without params, as of a state that declares none.
  if (!isTold || Object.keys(params).length === 0) return { params: hashOf(params) }
  return named('params', params as Readonly<Record<string, Json>>, hashOf)
}

function named<T>(
  prefix: string,
  values: Readonly<Record<string, T>>,
  text: (value: T, name: string) => string,
): KeyParts {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, text(value, name)]))
}

function hashOf(value: Json): string {
  return contentId(canonicalJson(value))
}
