import { looksRandom } from './random-token.ts'

/** A word for a secret that is part of a name. */
export interface NameTerm {
  /** The word, without the rest of the name. */
  readonly says: string
  /** True when the name ends with it. */
  readonly isLast: boolean
}

/** In names whose words are parted by `_`. What is parted from the rest on both sides is part of other words as well. */
const IN_NAMES =
  /pass_?word|pass_?phrase|passwd|mnemonic|private_?key|seed_?phrase|api_?key|access_?key|secret_?key|access_?token|refresh_?token|auth_?token|client_?secret|authorization|(?<![a-z])(?:id_?token|bearer|secret$|credentials?$)(?![a-z])/

/** What a name says of a secret: `apiKey`, `X-API-KEY` and `my_api_key_2` alike; undefined when it does not. */
export function secretInName(name: string): NameTerm | undefined {
  const words = name
    .replace(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, '$1$3_$2')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toLowerCase()
  const match = IN_NAMES.exec(words)
  if (match === null) return undefined
  const rest = words.slice(match.index + match[0].length)
  return { says: match[0].replaceAll('_', ' '), isLast: /^s?[_\d]*$/.test(rest) }
}

/** What a text holds that looks like a secret; undefined for nothing. Takes time in proportion to the text. */
export function secretInText(text: string, name: string | undefined): string | undefined {
  const form = FORMS.find(({ in: isIn }) => isIn(text))
  if (form !== undefined) return form.why
  return looksRandom(text, name) ? 'a long random token' : undefined
}

interface Form {
  readonly why: string
  readonly in: (text: string) => boolean
}

const matching = (why: string, pattern: RegExp): Form => ({ why, in: (text) => pattern.test(text) })

/** A pattern whose first group must hold something that is no placeholder. */
const holding = (why: string, pattern: RegExp): Form => ({
  why,
  in: (text) => [...text.matchAll(pattern)].some(([, value = '']) => !isPlaceholder(value)),
})

/** As they stand in texts: `api_key`, `api-key`, `apiKey`. */
const ASSIGNED =
  'pass[_-]?word|passwd|pass[_-]?phrase|mnemonic|private[_-]?key|seed[_-]?phrase|api[_-]?key|access[_-]?key(?:[_-]?id)?|secret[_-]?key|secret[_-]?access[_-]?key|access[_-]?token|refresh[_-]?token|id[_-]?token|client[_-]?secret'

const FORMS: readonly Form[] = [
  matching('a private key', /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY/),
  matching('a private key', /(?<![A-Z0-9])AGE-SECRET-KEY-1[A-Z0-9]{20,}/),
  matching('a token of GitHub', /(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,})/),
  matching('a token of GitLab', /(?<![A-Za-z0-9])gl(?:pat|ptt|dt|rt)-[\w-]{20,}/),
  matching('an API key that begins with sk-', /(?<![\w-])sk-(?=[\w-]*\d)[\w-]{20,}/),
  matching('an API key of Stripe', /(?<![A-Za-z0-9])(?:[srp]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}/),
  matching('a token of Slack', /(?<![A-Za-z0-9])xox[abeoprs]-[\w-]{10,}/),
  matching('an access key of AWS', /(?<![A-Za-z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Za-z0-9])/),
  matching('an API key of Google', /(?<![\w-])AIza[\w-]{35}(?![\w-])/),
  matching('a token of npm', /(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}/),
  matching('a token of PyPI', /(?<![A-Za-z0-9])pypi-AgE[\w-]{20,}/),
  matching('an API key of SendGrid', /(?<![\w-])SG\.[\w-]{16,}\.[\w-]{16,}/),
  matching('a token of Hugging Face', /(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}/),
  matching('a JSON Web Token', /(?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*/),
  matching('a bearer token', /^\s*(?:authorization:\s*)?bearer\s+\S+\s*$|\bbearer\s+(?=[\w.~+/=-]*\d)[\w.~+/=-]{16,}/i),
  { why: 'credentials of HTTP', in: holdsBasic },
  holding('a password in a URL', /:\/\/[^\s/:@]*:([^\s/@]+)@/g),
  holding(
    'an assignment to a name of a secret',
    new RegExp(`(?:${ASSIGNED})(?:=|["']\\s*:\\s*["'])([^\\s"',;&]+)`, 'gi'),
  ),
  // With more room around it, it may be a sentence: a word alone is none.
  holding(
    'an assignment to a name of a secret',
    new RegExp(`(?:${ASSIGNED})\\s*[=:]\\s*((?=[^\\s\\d]{0,100}\\d)\\S{6,})`, 'gi'),
  ),
  { why: 'a mnemonic', in: isMnemonic },
]

/** What stands where a secret will be: `***`, `<password>`, `${PASSWORD}`, `{{ password }}`, `[redacted]`. */
export function isPlaceholder(text: string): boolean {
  return /^(?:\*+|<[\w -]{1,100}>|\[[\w -]{1,100}\]|\$\{[\w.]{1,100}\}|\{\{[\w. ]{1,100}\}\})$/.test(text)
}

/** User and password of HTTP's basic authentication. */
function holdsBasic(text: string): boolean {
  const credentials = /\bbasic\s+([A-Za-z0-9+/]{4,}={0,2})(?![\w+/=])/i.exec(text)?.[1]
  return (
    credentials !== undefined &&
    /^[\x20-\x7e]*:[\x20-\x7e]*$/.test(Buffer.from(credentials, 'base64').toString('latin1'))
  )
}

const LENGTHS_OF_MNEMONICS = new Set([12, 15, 18, 21, 24])

/** No mnemonic holds one of these; a sentence of that length hardly ever comes without. */
const STOP_WORDS = new Set([
  ...['the', 'and', 'for', 'are', 'was', 'were', 'not', 'but', 'with', 'from', 'has', 'had', 'his', 'her', 'its'],
  ...['our', 'their', 'your', 'which', 'been', 'into', 'than'],
])

function isMnemonic(text: string): boolean {
  // 24 words of 8 letters, with some room between them.
  if (text.length > 500) return false
  const words = text.trim().split(/\s+/)
  return (
    LENGTHS_OF_MNEMONICS.has(words.length) && words.every((word) => /^[a-z]{3,8}$/.test(word) && !STOP_WORDS.has(word))
  )
}
