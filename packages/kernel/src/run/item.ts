import type { Json } from '@varve/store'
import { hash } from 'node:crypto'
import type { ErrorInfo } from '../log/event-data.ts'
import { textOfJson } from '../log/text-of.ts'
import type { Effect } from '../workflow/action.ts'

/** Something in flight: opened by one event, closed by exactly one. */
export type OpenItem = OpenAction | OpenTimer | OpenWait | OpenInterrupt | OpenChild

/** What all open items have. */
interface Opened {
  readonly key: string
  /** Of what it was asked for with, or its text: see {@link fingerprintOfText}. */
  readonly fingerprint: string
  /** Seq of the event that opened it. */
  readonly seq: number
}

/** An action whose outcome is not recorded yet. */
export interface OpenAction extends Opened {
  readonly kind: 'action'
  readonly action: string
  /** What was recorded when it was asked for. Its input may be parsed when somebody first asks for it. */
  readonly request: { readonly input: Json }
  readonly effect: Effect
  /** Labels it was asked for with. */
  readonly tool?: string
  readonly provider?: string
  /** Number of the latest attempt, from 1. */
  readonly attempt: number
  /** Attempts that failed; a crash is not one. */
  readonly failures: number
  /** Why the latest of them failed, while a retry lies ahead. */
  readonly failure?: ErrorInfo
  /** True from a durable start of an attempt until its end is recorded. */
  readonly attempting: boolean
  /** True when an at-most-once attempt ended without an outcome: nothing runs until that is settled. */
  readonly inDoubt: boolean
  /** True when the latest attempt was given up before its handler was called. */
  readonly notExecuted?: true
  /** When the next attempt is due, Unix milliseconds, after one that failed. */
  readonly retryAt?: number
  /** What this attempt, and those before it that a crash ended, were told: by fact key. Added to in place. */
  readonly facts?: Record<string, Fact>
}

/** An answer of the outside world, recorded once. */
export interface Fact {
  /** Hash of what was asked. */
  readonly requestHash: string
  readonly value: Json
}

/** A time that is waited for. */
export interface OpenTimer extends Opened {
  readonly kind: 'timer'
  /** Unix milliseconds. */
  readonly fireAt: number
}

/** A wait for a signal. */
export interface OpenWait extends Opened {
  readonly kind: 'wait'
  readonly signal: string
  /** When it times out, Unix milliseconds. */
  readonly fireAt?: number
}

/** A run that this one waits for. */
export interface OpenChild extends Opened {
  readonly kind: 'child'
  readonly childRunId: string
  readonly workflow: string
}

/** A question that waits for its answer. */
export interface OpenInterrupt extends Opened {
  readonly kind: 'interrupt'
  readonly interrupt: string
  readonly value: Json
  /** When it expires, Unix milliseconds. */
  readonly fireAt?: number
}

/** What is remembered of an item that has closed. */
export interface ClosedItem {
  readonly kind: OpenItem['kind']
  /** The action's name or the interrupt's kind. */
  readonly name: string
  /** As of the open item. */
  readonly fingerprint: string
  /** Why it failed or was denied; absent when it did not. */
  readonly error?: ErrorInfo
}

/** As many characters of a hash as hold 66 bits: two inputs of one key do not share them by chance. A snapshot has one for each item. */
const FINGERPRINT_LENGTH = 11

/**
 * Tells two inputs of one key apart: the canonical text where it is short, its hash where it is not. Equal inputs have
 * equal fingerprints. It is one line without tabs.
 */
export function fingerprint(input: Json): string {
  return fingerprintOfText(textOfJson(input))
}

/** Texts up to this length, in UTF-16 code units, are remembered until a snapshot is made: what a run holds has a bound for each item. */
const REMEMBERED_LENGTH = 512

/** What to remember of an input that has this canonical text: the text where it is short enough, else its {@link fingerprint}. */
export function rememberedText(text: string): string {
  return text.length <= REMEMBERED_LENGTH ? text : fingerprintOfText(text)
}

/**
 * The {@link fingerprint} of an input that has this canonical text. That of a fingerprint is itself, so a text may stand for its
 * fingerprint until it is compared or written: hashing it takes longer than all else that is done for a request in a log.
 */
export function fingerprintOfText(text: string): string {
  return text.length <= 64 ? text : hash('sha256', text, 'base64url').slice(0, FINGERPRINT_LENGTH)
}
