import { KernelError } from '../errors.ts'
import type { Redact } from '../secrets/redact.ts'

/** Sums up what one attempt uses. */
export interface UsageMeter {
  /** @throws KernelError `INVALID_INPUT`; nothing of what was reported counts then. */
  readonly use: (amounts: Readonly<Record<string, number>>) => void
  /** Ends the attempt: what is reported later is warned of. @returns what to record, which may be nothing. */
  readonly close: () => { readonly usage?: Readonly<Record<string, number>> }
}

/** What names of usage look like, for an error's text. */
export const USAGE_NAMES = 'a name has letters, digits and . _ : / -, begins with a letter or digit, and ends after 100'

/** True for a name under which usage can be reported. */
export function isUsageName(name: string): boolean {
  return /^[a-z0-9][\w.:/-]{0,99}$/i.test(name)
}

/** One attempt reports no more names than this. */
const MAX_NAMES = 100

/**
 * @param warn - told of usage that comes too late to be recorded.
 * @param redact - there when the input holds secrets: a name that holds one is recorded without, with a warning. To refuse it would
 * throw the handler's work away, for a name such as that of the provider, which may be a part of a secret by chance.
 */
export function usageMeter(
  where: { readonly runId: string; readonly key: string },
  warn: (warning: Error) => void,
  redact: Redact = (text) => text,
) {
  const { runId, key } = where
  let sum: ReadonlyMap<string, number> | undefined
  let closed = false
  const invalid = (name: string, text: string): KernelError =>
    new KernelError('INVALID_INPUT', `use in ${key} of run ${runId}: ${text}`, { runId, key, path: `usage.${name}` })
  const meter: UsageMeter = {
    use: (amounts) => {
      const total = new Map(sum)
      for (const [given, amount] of entriesOf(amounts, invalid)) {
        const name = redact(given) === given ? given : redact(given).replaceAll(/[[\]]/g, '')
        if (name !== given) {
          const text = `use in ${key} of run ${runId}: a name holds a secret of the input; its amount is recorded as ${name}`
          warn(new KernelError('INVALID_INPUT', text, where))
        }
        if (!isUsageName(name)) throw invalid(name, `${JSON.stringify(name)} is no name: ${USAGE_NAMES}`)
        const more = typeof amount === 'number' ? (total.get(name) ?? 0) + amount : Number.NaN
        if (!((amount as number) >= 0) || !(more <= Number.MAX_SAFE_INTEGER)) {
          throw invalid(name, `${name} must be a number from 0 and stay below 2^53, got ${String(amount)}`)
        }
        total.set(name, more)
        if (total.size > MAX_NAMES) throw invalid(name, `an attempt reports at most ${MAX_NAMES} names`)
      }
      if (closed) {
        const text = `use in ${key} of run ${runId}: the attempt is over, so ${JSON.stringify(amounts)} does not count`
        warn(new KernelError('INVALID_INPUT', text, where))
      } else sum = total
    },
    close: () => {
      closed = true
      return sum === undefined || sum.size === 0 ? {} : { usage: Object.fromEntries(sum) }
    },
  }
  return meter
}

function entriesOf(amounts: unknown, invalid: (name: string, text: string) => KernelError): [string, unknown][] {
  if (typeof amounts === 'object' && amounts !== null && !Array.isArray(amounts)) return Object.entries(amounts)
  throw invalid('', `it takes amounts by name, such as { tokens: 120 }, got ${typeof amounts}`)
}
