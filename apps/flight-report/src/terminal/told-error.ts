import { inspect } from 'node:util'

/** What to do about errors, by their codes: a program names its own options, which what it shares with others does not know. */
export type Remedies = Readonly<Record<string, string>>

/** What a person is told of an error: its code, its text and what to do about it, in one line; everything under `DEBUG=varve`. */
export function tellError(error: unknown, remedies: Remedies): string {
  if (isDebugging()) return inspect(error, { depth: 5 })
  if (!(error instanceof Error)) return `error: ${oneLine(String(error))}`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  const text = withRemedy(error, remedies)
  return `error: ${text.startsWith(`${code}: `) ? text : `${code}: ${text}`}`
}

/** An error's text and what to do about it, in one line. */
export function withRemedy(error: Error & { readonly code?: string | undefined }, remedies: Remedies): string {
  const remedy = remedies[error.code ?? '']
  return oneLine(remedy === undefined ? error.message : `${error.message}; ${remedy}`)
}

/** An error may quote what stands in a file, and a terminal would do what control characters say. */
function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').replace(/\p{Cc}/gu, '\uFFFD')
}

function isDebugging(): boolean {
  return (process.env['DEBUG'] ?? '').split(',').includes('varve')
}
