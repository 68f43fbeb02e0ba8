import { recordedLabels } from '../policy/labels.ts'
import { EFFECTS, type Effect } from '../workflow/action.ts'
import type { EventData } from './event-data.ts'

/** The data of a request, with its input as text. */
export interface RequestText extends Omit<EventData['ActionRequested'], 'input'> {
  /** Canonical JSON. */
  readonly input: string
}

const ACTION = '{"action":"'
const EFFECT = '","effect":"'
const INPUT = '","input":'
const KEY = ',"key":"'
const END = '"}'
const MAX_KEY = 200
const LABELED = /^([^"\\]{1,200})"(?:,"provider":"([^"\\]*)")?(?:,"tool":"([^"\\]*)")?\}$/

/**
 * Takes the canonical JSON of an `ActionRequested` apart without parsing the input, which is most of it.
 *
 * @returns undefined for other texts, and where a name, key or label is escaped: who needs it parses it then. No quote stands in a text of
 * JSON without a backslash, so what separates the parts stands in none of them but the input, and in that not behind its end.
 */
export function requestIn(body: string): RequestText | undefined {
  if (!body.startsWith(ACTION) || !body.endsWith(END)) return undefined
  const endOfAction = body.indexOf(EFFECT, ACTION.length)
  const endOfEffect = body.indexOf(INPUT, endOfAction + EFFECT.length)
  const endOfInput = body.lastIndexOf(KEY)
  if (endOfAction < 0 || endOfEffect < 0 || endOfInput <= endOfEffect + INPUT.length) return undefined
  const action = body.slice(ACTION.length, endOfAction)
  const effect = effectOf(body.slice(endOfAction + EFFECT.length, endOfEffect))
  if (effect === undefined || !isPlain(action)) return undefined
  const input = body.slice(endOfEffect + INPUT.length, endOfInput)
  const key = body.slice(endOfInput + KEY.length, -END.length)
  if (key.length > 0 && key.length <= MAX_KEY && isPlain(key)) return { key, action, effect, input }
  const labeled = LABELED.exec(body.slice(endOfInput + KEY.length))
  if (labeled === null) return undefined
  const [, labeledKey = '', provider, tool] = labeled
  return { key: labeledKey, action, effect, ...recordedLabels({ tool, provider }), input }
}

function effectOf(text: string): Effect | undefined {
  for (const effect of EFFECTS) if (effect === text) return effect
  return undefined
}

/** True where a text of JSON stands as it is. */
function isPlain(text: string): boolean {
  return !text.includes('"') && !text.includes('\\')
}
