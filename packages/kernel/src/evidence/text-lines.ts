import { KernelError } from '../errors.ts'
import { EvidenceError } from './evidence-error.ts'

/** Text in pieces of any size: what a file, a response or a generator yields. */
export type EvidenceSource = string | Uint8Array | AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>

/** A line of a text, without its LF. */
export interface TextLine {
  /** 1-based. */
  readonly line: number
  readonly text: string
}

const LF = 0x0a

/**
 * Cuts a text into lines; never holds more than one line and one piece of the source.
 *
 * @throws EvidenceError `LIMIT_EXCEEDED` for a line longer than `maxBytes` | `NOT_TEXT` | `TRUNCATED` when the last line has no
 * LF | `EMPTY_BUNDLE`.
 */
export async function* textLines(source: EvidenceSource, maxBytes: number): AsyncGenerator<TextLine, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let line = 1
  let begun: Uint8Array[] = []
  let length = 0
  const add = (part: Uint8Array): void => {
    if (part.length === 0) return
    begun.push(part)
    length += part.length
    if (length > maxBytes) {
      const text = `line ${line} is longer than ${maxBytes} bytes; raise limits.bodyBytes if the run was made with larger ones`
      throw new EvidenceError('LIMIT_EXCEEDED', text, { line })
    }
  }
  const take = (amid = false): TextLine => {
    const taken = { line, text: decode(decoder, Buffer.concat(begun), line, amid) }
    begun = []
    length = 0
    line++
    return taken
  }
  for await (const bytes of bytesOf(source)) {
    let from = 0
    for (let to = bytes.indexOf(LF); to >= 0; to = bytes.indexOf(LF, from)) {
      add(bytes.subarray(from, to))
      yield take()
      from = to + 1
    }
    add(bytes.subarray(from))
  }
  if (length === 0 && line > 1) return
  if (length === 0) throw new EvidenceError('EMPTY_BUNDLE', 'there is nothing; get the bundle again', { line: 1 })
  // What is no text says more about the source than that it ends without an LF.
  const { text } = take(true)
  line--
  if (line === 1 && !text.startsWith('{')) yield { line, text }
  throw new EvidenceError('TRUNCATED', `it ends amid line ${line}; get the bundle again`, { line })
}

function piecesOf(source: EvidenceSource): AsyncIterable<unknown> | Iterable<unknown> {
  if (typeof source === 'string' || source instanceof Uint8Array) return [source]
  const given: unknown = source
  if (typeof given === 'object' && given !== null && (Symbol.asyncIterator in given || Symbol.iterator in given)) {
    return source
  }
  throw noText(source)
}

/** Text may be cut amid a character, too: its first half waits for the second. One that never comes is part of the text all the same. */
async function* bytesOf(source: EvidenceSource): AsyncGenerator<Uint8Array, void, undefined> {
  let half = ''
  for await (const chunk of piecesOf(source)) {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) throw noText(chunk)
    const text: string = typeof chunk === 'string' ? half + chunk : half
    half = typeof chunk === 'string' ? (/[\ud800-\udbff]$/.exec(text)?.[0] ?? '') : ''
    if (text.length > half.length) yield Buffer.from(text.slice(0, text.length - half.length))
    if (typeof chunk !== 'string') yield chunk
  }
  if (half !== '') yield Buffer.from(half)
}

function noText(found: unknown): KernelError {
  return new KernelError('INVALID_INPUT', `a bundle is read from text or bytes, not from a ${typeof found}`)
}

/** @param amid - the text ends here, perhaps amid a character. */
function decode(decoder: InstanceType<typeof TextDecoder>, bytes: Uint8Array, line: number, amid: boolean): string {
  try {
    return decoder.decode(bytes, { stream: amid })
  } catch {
    const text = `line ${line} is not UTF-8 (a binary or compressed file?); give the text that was exported`
    throw new EvidenceError('NOT_TEXT', text, { line })
  }
}
