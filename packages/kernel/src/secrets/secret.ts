import type { Json } from '@varve/store'
import { KernelError } from '../errors.ts'

declare const opened: unique symbol

/**
 * A value that nobody reads but the handlers of actions. Outside of a run it is made by {@link secret}; inside, in states,
 * events and requests, it is a reference that can be passed on. The type is opaque in both places.
 */
export interface Secret<T> {
  /** Carries the type; never there at run time. */
  readonly [opened]: T
}

/** Like `T`, but with a secret allowed in the place of every value: what a step may pass to a handler that takes `T`. */
export type WithSecrets<T> = unknown extends T ? T : Secret<T> | PartsWithSecrets<T>

type PartsWithSecrets<T> = T extends string | number | boolean | null | undefined | Secret<unknown>
  ? T
  : { [K in keyof T]: WithSecrets<T[K]> }

/** Found on every marked value, also on those of a second installed copy of this package. */
const marked: unique symbol = Symbol.for('varve.secret') as never

/** Says nothing of its value to whoever prints it, walks it or turns it into JSON; and it is not JSON, so no log takes it. */
class MarkedValue {
  declare readonly [marked]: () => unknown

  constructor(value: unknown) {
    Object.defineProperty(this, marked, { value: () => value })
    Object.freeze(this)
  }

  toString(): string {
    return SHOWN
  }

  toJSON(): string {
    return SHOWN
  }

  get [Symbol.toStringTag](): string {
    return SHOWN
  }
}

const SHOWN = '[secret]'

/**
 * Marks a value that must not be recorded: in the input of a run, in a signal, an answer, a settlement, or in what a
 * handler returns. Before anything else sees it, it is sealed away and replaced by a reference; where the reference is part
 * of an action's input, that action's handler gets the value back in its place.
 *
 * @param value - any JSON value. What it says is checked by {@link secretSchema}, where a schema asks for it.
 */
export function secret<T>(value: T): Secret<T> {
  return new MarkedValue(value) as unknown as Secret<T>
}

/**
 * Refers to a secret of the configuration by its name, in the input that a step gives to an action. It is resolved by
 * `createKernel({ secrets: { resolve } })` each time a handler is called, and never recorded.
 *
 * @throws KernelError `INVALID_DEFINITION` for a name that is no text of 1-200 characters.
 */
export function secretRef(name: string): Secret<string> {
  if (typeof name === 'string' && name.length >= 1 && name.length <= 200) {
    return { [NAMED]: name } as unknown as Secret<string>
  }
  throw new KernelError('INVALID_DEFINITION', 'the name of a secret must have 1-200 characters')
}

/** A mark with the value that it hides; undefined for anything else. */
export function markedValue(value: unknown): { readonly value: unknown } | undefined {
  if (typeof value !== 'object' || value === null || !isMarked(value)) return undefined
  return { value: value[marked]() }
}

/** True for what {@link secret} has made, also that of a second installed copy of this package. */
export function isMarked(value: object): value is MarkedValue {
  return marked in value
}

/** What stands for a secret in the log. */
export interface SecretReference {
  /** Id of the sealed value. */
  readonly $secret: string
  /** Hex sha256 of salt and canonical JSON: tells that a value is the one, and nothing about it. */
  readonly commitment: string
}

const SEALED = '$secret'
const NAMED = '$secretRef'

/** True for an object that only the kernel and its steps may make: it would open a secret where a handler gets it. */
export function isReserved(value: object): boolean {
  return Object.hasOwn(value, SEALED) || Object.hasOwn(value, NAMED)
}

/** The reference that a recorded value is. */
export function asReference(value: Json): SecretReference | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { [SEALED]: id, commitment } = value as Readonly<Record<string, Json>>
  if (typeof id !== 'string' || typeof commitment !== 'string' || Object.keys(value).length !== 2) return undefined
  return { $secret: id, commitment }
}

/** The name that a recorded value refers to. */
export function asNamed(value: Json): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { [NAMED]: name } = value as Readonly<Record<string, Json>>
  return typeof name === 'string' && Object.keys(value).length === 1 ? name : undefined
}
