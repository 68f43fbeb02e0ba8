import type { LogEvent } from '../log/log-event.ts'
import { textOfJson } from '../log/text-of.ts'
import { recordedLabels } from '../policy/labels.ts'
import { fingerprint, rememberedText, type OpenItem } from './item.ts'

/** An event that opens an item. */
export type OpeningEvent = Extract<
  LogEvent,
  { type: 'ActionRequested' | 'TimerStarted' | 'WaitStarted' | 'Interrupted' | 'ChildStarted' }
>

/**
 * The item that an event opens. Delays are told from the event's own time, so that asking again can be compared.
 *
 * @param input - canonical JSON of the input that an action is requested with, for whoever knows it: it need not be written again then.
 */
export function openedItem(event: OpeningEvent, input?: string): OpenItem {
  const { seq } = event
  const { key } = event.data
  const delay = 'fireAt' in event.data && event.data.fireAt !== undefined ? event.data.fireAt - event.at : null
  const until = 'fireAt' in event.data && event.data.fireAt !== undefined && { fireAt: event.data.fireAt }
  switch (event.type) {
    case 'ActionRequested': {
      const { action, effect } = event.data
      const item = {
        kind: 'action',
        key,
        seq,
        action,
        request: event.data,
        effect,
        fingerprint: rememberedText(input ?? textOfJson(event.data.input)),
        attempt: 1,
        failures: 0,
        attempting: true,
        inDoubt: false,
      } as const
      const { tool, provider } = event.data
      return tool === undefined && provider === undefined ? item : { ...item, ...recordedLabels(event.data) }
    }
    case 'TimerStarted':
      return { kind: 'timer', key, seq, fireAt: event.data.fireAt, fingerprint: fingerprint(delay) }
    case 'WaitStarted': {
      const { signal } = event.data
      return { kind: 'wait', key, seq, signal, fingerprint: fingerprint([signal, delay]), ...until }
    }
    case 'Interrupted': {
      const { kind: interrupt, value } = event.data
      return { kind: 'interrupt', key, seq, interrupt, value, fingerprint: fingerprint([value, delay]), ...until }
    }
    case 'ChildStarted': {
      const { childRunId, workflow, version = null, input } = event.data
      return { kind: 'child', key, seq, childRunId, workflow, fingerprint: fingerprint([workflow, version, input]) }
    }
  }
}

/** What an item is of its kind: the action's, signal's or workflow's name, the interrupt's kind. */
export function nameOf(item: OpenItem): string {
  switch (item.kind) {
    case 'action':
      return item.action
    case 'timer':
      return 'timer'
    case 'wait':
      return item.signal
    case 'interrupt':
      return item.interrupt
    case 'child':
      return item.workflow
  }
}

/** When an item moves by itself, Unix milliseconds; undefined when only something from outside moves it. */
export function dueAt(item: OpenItem): number | undefined {
  if (item.kind === 'action') return item.retryAt
  return item.kind === 'child' ? undefined : item.fireAt
}
