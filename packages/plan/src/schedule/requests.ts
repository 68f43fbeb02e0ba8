import type { ArtifactRef } from '@varve/kernel'
import type { Json } from '@varve/store'
import type { RunConfig } from '../manifest/run-config.ts'

/** Outputs that an execution sees, by the names it knows them under; null for a state that was skipped. */
export type NeedRefs = Readonly<Record<string, ArtifactRef | null>>

/** What an execution depends on. */
export interface Given {
  /** The part of the params that the state declares; left out when it declares none. */
  readonly params?: Json
  readonly needs: NeedRefs
  /** The fork that runs the state again; left out when nothing stands against taking its output over. */
  readonly fresh?: string
}

/** An item of a map: in the request where it is small, an artifact where it is not. */
export type ItemValue = { readonly value: Json } | { readonly artifact: ArtifactRef }

/** The code of a state is to run: once, or for one item of a map. */
export interface RunRequest extends Given {
  readonly item?: ItemValue & { readonly key: string }
}

/** What the engine does for a state besides running its code; the input of the action `<state>:part`. */
export type PartRequest =
  /** The list of a map: all of it, or its stretches. */
  | ({ readonly part: 'items' } & Given)
  | ({ readonly part: 'stretch'; readonly stretch: ArtifactRef } & Pick<Given, 'fresh'>)
  /** The outputs of some items become one artifact. */
  | { readonly part: 'page'; readonly entries: readonly ListEntry[] }
  /** The outputs of all items become the state's output. */
  | { readonly part: 'collect'; readonly entries: readonly ListEntry[] }
  | { readonly part: 'join'; readonly pages: readonly ArtifactRef[] }
  /** What an approval asks. */
  | ({ readonly part: 'question' } & Given)
  /** The answer becomes the state's output. */
  | { readonly part: 'record'; readonly approved: boolean; readonly by?: string; readonly comment?: string }
  /** What a child plan starts with. */
  | ({ readonly part: 'start'; readonly config: RunConfig; readonly depth: number } & Given)
  /** The output of a child plan becomes the state's output. */
  | { readonly part: 'adopt'; readonly output: ArtifactRef | null }
  /** Before that, where it is a list: what it lists is named in this run's log, so that it is kept with it. */
  | { readonly part: 'entries'; readonly output: ArtifactRef }
  | { readonly part: 'entries'; readonly stretch: ArtifactRef }

/** One output of a map. */
export interface ListEntry {
  readonly key: string
  readonly output: ArtifactRef
}

/** A state's output, as the log has it. */
export interface StateResult {
  readonly artifact: ArtifactRef
  /** There for a cached state. */
  readonly cache?: CacheRecord
}

/** What the cache had to say. */
export interface CacheRecord {
  readonly key: string
  /** Hashes of the parts of the key that neither the request nor the manifest has, by name. */
  readonly environment: Readonly<Record<string, string>>
  /** The run and the state whose output was taken over; absent when the state ran. */
  readonly from?: { readonly runId: string; readonly key: string }
}

/** A map's list, or a stretch of it. */
export interface ItemsResult {
  readonly items: readonly (ItemValue & { readonly key: string })[]
  /** All stretches of a list that is too long for one event, in their order; the list itself is empty then. */
  readonly stretches?: readonly ArtifactRef[]
}

/** What a child's list names, or a stretch of it. */
export interface EntriesResult {
  readonly entries: readonly ArtifactRef[]
  /** All stretches of a list that names too many for one event, in their order; none is named itself then. */
  readonly stretches?: readonly ArtifactRef[]
}
