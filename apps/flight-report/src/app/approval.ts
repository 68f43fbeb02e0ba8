import { createInterface } from 'node:readline/promises'
import { meanDelay } from '../flights/hour-statistics.ts'
import type { Question } from '../flight-plan.ts'
import type { z } from 'zod'

/** What the editor said, and how we know. */
export interface Verdict {
  readonly approved: boolean
  readonly by: string
}

/**
 * Asks the editor: takes the answer of the command line, else asks in the terminal, else approves.
 *
 * @returns undefined when the person at the terminal would rather not say.
 */
export async function askEditor(
  question: z.infer<typeof Question>,
  options: { readonly approved: boolean | undefined; readonly signal: AbortSignal },
): Promise<Verdict | undefined> {
  const { approved, signal } = options
  if (approved !== undefined) return { approved, by: approved ? '--approve' : '--reject' }
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    console.log('There is no terminal to ask in: approved by default (--approve and --reject say so beforehand)')
    return { approved: true, by: 'default, no terminal' }
  }
  const { flights, late } = question
  const numbers = [
    `${flights.toLocaleString('en-US')} flights`,
    `mean delay ${meanDelay(question)?.toFixed(1) ?? '–'} minutes`,
    `${((100 * late) / flights).toFixed(1)}% late`,
  ]
  const approvedNow = await askYesOrNo(`Publish the report? (${numbers.join(', ')}) [Y/n] `, signal)
  return approvedNow === undefined ? undefined : { approved: approvedNow, by: 'editor at the terminal' }
}

/** @returns undefined for Ctrl-C, for Ctrl-D, and when the signal comes. */
async function askYesOrNo(text: string, signal: AbortSignal): Promise<boolean | undefined> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  // A question that is cut off by the end of the input never settles by itself.
  const closed = new Promise<undefined>((resolve) => terminal.once('close', () => resolve(undefined)))
  terminal.once('SIGINT', () => terminal.close())
  try {
    for (;;) {
      const question = terminal.question(text, { signal }).catch(() => undefined)
      const answer = (await Promise.race([question, closed]))?.trim().toLowerCase()
      if (answer === undefined) return undefined
      if (['', 'y', 'yes'].includes(answer)) return true
      if (['n', 'no'].includes(answer)) return false
    }
  } finally {
    terminal.close()
  }
}
