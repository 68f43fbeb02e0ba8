import { recordedLabels } from '../policy/labels.ts'
import { EFFECTS, type Effect } from '../workflow/action.ts'
import { MAX_KEY, type EventData } from './event-data.ts'

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
const LABELED = /^([^"\\\p{Cc}]+)"(?:,"provider":"([^"\\\p{Cc}]*)")?(?:,"tool":"([^"\\\p{Cc}]*)")?\}$/u
/** What stands in a text of JSON as it is. */
const PLAIN = /^[^"\\\p{Cc}]*$/u

/**
 * Takes the canonical JSON of an `ActionRequested` apart without parsing the input, which is most of it. The input is a part of the text, and
 * keeps all of it in memory.
 *
 * @param body - canonical, as sealing makes it: of another text that has these parts, parsing may tell something else.
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
  if (effect === undefined || !PLAIN.test(action)) return undefined
  const input = body.slice(endOfEffect + INPUT.length, endOfInput)
  const key = body.slice(endOfInput + KEY.length, -END.length)
  if (key.length > 0 && key.length <= MAX_KEY && PLAIN.test(key))
    return { key: copied(key), action: copied(action), effect, input }
  const labeled = LABELED.exec(body.slice(endOfInput + KEY.length))
  if (labeled === null) return undefined
  const [, labeledKey = '', provider, tool] = labeled
  if (labeledKey.length > MAX_KEY) return undefined
  const labels = recordedLabels({ tool: copied(tool), provider: copied(provider) })
  return { key: copied(labeledKey), action: copied(action), effect, ...labels, input }
}

/**
 * The input alone, as canonical JSON, out of the text of an `ActionRequested` that sealing made. It is a part of the text, and keeps all of it
 * in memory.
 */
export function inputIn(body: string): string {
  return body.slice(body.indexOf(INPUT) + INPUT.length, body.lastIndexOf(KEY))
}

function effectOf(text: string): Effect | undefined {
  for (const effect of EFFECTS) if (effect === text) return effect
  return undefined
}

/** The engine copies what is shorter than this when it is cut out of a text. */
const SHORT = 13

/** A text of its own, for one that is plain. */
function copied<T extends string | undefined>(text: T): T {
  return text === undefined || text.length < SHORT ? text : (JSON.parse(`"${text}"`) as T)
}
