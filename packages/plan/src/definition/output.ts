import type { Schema } from '@varve/kernel'
import type { ArtifactRef } from '@varve/kernel'
import { checkNames, checkOptions, type StoredArtifact } from '@varve/store'
import { asDefinition } from '../errors.ts'

/** Output of bytes instead of JSON. Made by {@link bytes}. */
export interface BytesSpec {
  readonly kind: 'bytes'
  readonly mediaType: string
}

/** What a state makes: JSON that fits a schema, or bytes. */
export type OutputSpec = Schema | BytesSpec

/** Bytes that a state made, as those that need it see them: read whole or as a stream, each time against their hash. */
export interface BytesOutput extends StoredArtifact {
  readonly ref: ArtifactRef
}

/** One output of a map, under the key of its item. */
export interface MapEntry<T> {
  readonly key: string
  readonly value: T
}

/** What a state with this output returns. */
export type OutputInput<O> = O extends BytesSpec
  ? Uint8Array | AsyncIterable<Uint8Array> | StoredArtifact
  : O extends { readonly '~standard': { readonly types?: infer T } }
    ? NonNullable<T> extends { readonly input: infer In }
      ? In
      : never
    : never

/** What those see that need a state with this output. */
export type OutputValue<O> = O extends BytesSpec
  ? BytesOutput
  : O extends { readonly '~standard': { readonly types?: infer T } }
    ? NonNullable<T> extends { readonly output: infer Out }
      ? Kept<Out>
      : never
    : never

/** What is kept of a value: JSON has no word for undefined, so null is. */
type Kept<T> = undefined extends T ? Exclude<T, undefined> | null : T

/**
 * Declares that a state makes bytes: it returns them whole, as a stream, or as an artifact that it passes on. Streams are
 * never held whole.
 *
 * @param options - `mediaType` of the bytes. Default `application/octet-stream`.
 * @throws PlanError `INVALID_DEFINITION` for options that are none.
 */
export function bytes(options: { readonly mediaType?: string } = {}): BytesSpec {
  asDefinition(checkOptions, 'the options of bytes', options)
  asDefinition(checkNames, 'bytes', options, { mediaType: true })
  return { kind: 'bytes', mediaType: options.mediaType ?? 'application/octet-stream' }
}

/** True for an output of bytes. */
export function isBytes(output: OutputSpec): output is BytesSpec {
  return 'kind' in output
}
