import type { Json } from '@varve/store'

/**
 * Names the first part of a type that JSON cannot keep, or `never`. `unknown` passes: it is checked when the value is
 * recorded. Looks six levels deep, so that recursive types stay cheap.
 */
type JsonProblem<T, Depth extends readonly unknown[] = []> = Depth['length'] extends 6
  ? never
  : unknown extends T
    ? never
    : [T] extends [Json | undefined]
      ? never
      : JsonProblemOf<T, Depth>

type JsonProblemOf<T, Depth extends readonly unknown[]> = T extends Json | undefined
  ? never
  : T extends Date
    ? 'a Date does not survive JSON: use Unix milliseconds or an ISO string'
    : T extends bigint
      ? 'a BigInt does not survive JSON: use a string'
      : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>
        ? 'a Map or Set does not survive JSON: use an object or an array'
        : T extends symbol | ((...args: never) => unknown)
          ? 'a function or symbol does not survive JSON'
          : T extends readonly (infer U)[]
            ? JsonProblem<U, [...Depth, 0]>
            : { [K in keyof T]-?: JsonProblem<Exclude<T[K], undefined>, [...Depth, 0]> }[keyof T]

/** Nothing for a type that survives JSON; a type nobody can satisfy, whose name says why, for one that does not. */
export type MustBeJson<T> = [JsonProblem<T>] extends [never] ? unknown : { readonly notJson: JsonProblem<T> }

/** What is recorded of a value: JSON has no word for `void` and `undefined`, so null stands for them. */
export type NullForVoid<T> = unknown extends T ? T : undefined extends T ? Exclude<T, void> | null : T

/** Nothing for what a handler takes; a type nobody can satisfy where it counts on undefined, for which it is given null. */
export type NeverUndefined<T> = unknown extends T
  ? unknown
  : undefined extends T
    ? { readonly inputIsNeverUndefined: 'let it take null instead' }
    : unknown
