import type { ArtifactRef } from '@varve/kernel'
import { canonicalJson, contentId as hashOf, type ContentId, type Json } from '@varve/store'
import { z } from 'zod'
import { runConfig, type RunConfig } from '../manifest/run-config.ts'

/** What a run of a plan starts with: the data of its first event. */
export interface PlanInput {
  readonly manifest: ArtifactRef
  /** Hash of the plan that the manifest describes. */
  readonly planHash: ContentId
  /** With `secretRef`s in a form of the engine's own. */
  readonly params: Json
  readonly config: RunConfig
  /** 0 for a run that no other one has started, and one more for each that has. */
  readonly depth: number
  /** States whose outputs are not taken over from the run that this one was forked from, nor from the cache; by the fork's id. */
  readonly fresh?: Readonly<Record<string, string>>
  /** Outputs that were put in the place of those of states, which do not run. */
  readonly replaced?: Readonly<Record<string, ArtifactRef>>
  /** What child plans came to in the run that this one was forked from; by the ids of their states. */
  readonly children?: Readonly<Record<string, AdoptedChild>>
}

/** A child plan that need not run again when it would be started with the same. */
export interface AdoptedChild {
  /** Hash of what it was started with. */
  readonly input: ContentId
  readonly output: ArtifactRef | null
  /** The run that made it. */
  readonly runId?: string
  /** What that one was told to skip. */
  readonly skipTags?: readonly string[]
}

/** What the output of a child plan that has completed depends on: not on how many states ran at once, nor on the build. */
export function childInput({ planHash, params, config: { skipTags } }: PlanInput): ContentId {
  return hashOf(canonicalJson({ planHash, params, skipTags }))
}

const contentId = z.templateLiteral(['sha256:', z.string().regex(/^[0-9a-f]{64}$/)])

/** An artifact as requests and results refer to it. */
export const artifactRef = z.strictObject({ $artifact: contentId, size: z.int().min(0), mediaType: z.string() })

const adoptedChild = z.strictObject({
  input: contentId,
  output: artifactRef.nullable(),
  runId: z.string().optional(),
  skipTags: z.array(z.string()).optional(),
})

/** JSON as it is: `z.json()` makes a copy in which an own `__proto__` is gone. That it is JSON is checked by whoever writes it. */
export const jsonValue = z.custom<Json>((value) => value !== undefined)

/** Checks what a run of a plan starts with. */
export const planInput = z.strictObject({
  manifest: artifactRef,
  planHash: contentId,
  params: jsonValue,
  config: runConfig,
  depth: z.int().min(0),
  fresh: z.record(z.string(), z.string()).optional(),
  replaced: z.record(z.string(), artifactRef).optional(),
  children: z.record(z.string(), adoptedChild).optional(),
})
