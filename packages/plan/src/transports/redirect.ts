/** One request on the way to an answer. */
export interface Hop {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: string | Uint8Array | undefined
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What may be told to an origin that the caller has not named. */
const HARMLESS = new Set(['accept', 'accept-language', 'content-type', 'idempotency-key', 'user-agent'])

const OF_A_BODY = ['content-type', 'content-encoding', 'content-language', 'idempotency-key']

/** The request that a response asks for, as browsers do it: a POST becomes a GET unless the status says to keep it. */
export function redirectOf(hop: Hop, { status, headers }: Response): Hop | undefined {
  const location = headers.get('location')
  if (!REDIRECTS.has(status) || location === null) return undefined
  const url = URL.parse(location, hop.url.href)
  if (url === null) return undefined
  const kept = new Headers(url.origin === hop.url.origin ? hop.headers : harmless(hop.headers))
  if (!becomesGet(status, hop.method)) return { ...hop, url, headers: kept }
  for (const name of OF_A_BODY) kept.delete(name)
  return { url, method: 'GET', headers: kept, body: undefined }
}

function becomesGet(status: number, method: string): boolean {
  if (status === 303) return method !== 'GET' && method !== 'HEAD'
  return (status === 301 || status === 302) && method === 'POST'
}

function harmless(headers: Headers): [string, string][] {
  return [...headers].filter(([name]) => HARMLESS.has(name))
}
