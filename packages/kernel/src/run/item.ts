import { canonicalJson, sha256, type Json } from '@varve/store'
import type { ErrorInfo } from '../log/event-data.ts'

/** Something in flight: opened by one event, closed by exactly one. */
export type OpenItem = OpenAction | OpenInterrupt

/** An action whose outcome is not recorded yet. */
export interface OpenAction {
  readonly kind: 'action'
  readonly key: string
  readonly action: string
  readonly input: Json
  readonly fingerprint: string
  /** Number of the latest attempt, from 1. */
  readonly attempt: number
  /** Attempts that failed; a crash is not one. */
  readonly failures: number
  /** True from a durable start of an attempt until its end is recorded. */
  readonly attempting: boolean
  /** When the next attempt is due, Unix milliseconds, after one that failed. */
  readonly retryAt?: number
}

/** A question that waits for its answer. */
export interface OpenInterrupt {
  readonly kind: 'interrupt'
  readonly key: string
  readonly interrupt: string
  readonly value: Json
  readonly fingerprint: string
}

/** What is remembered of an item that has closed. */
export interface ClosedItem {
  readonly kind: OpenItem['kind']
  /** The action's name or the interrupt's kind. */
  readonly name: string
  readonly fingerprint: string
  /** Why it failed or was denied; absent when it did not. */
  readonly error?: ErrorInfo
}

/**
 * Tells two inputs of one key apart: the canonical text where it is short, its hash where it is not. Equal inputs have
 * equal fingerprints.
 */
export function fingerprint(input: Json): string {
  const text = canonicalJson(input)
  return text.length <= 64 ? text : sha256(text)
}
