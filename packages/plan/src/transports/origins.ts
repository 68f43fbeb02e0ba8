import { shown } from '@varve/store'
import { PlanError } from '../errors.ts'

/**
 * Reads a list of origins, `https://api.example.org:8443`, and patterns, `https://*.example.org`, which stand for every host
 * below that one, but not for itself.
 *
 * @throws PlanError `INVALID_DEFINITION` for an empty list, and for an entry that is neither.
 */
export function originsAllowed(allow: readonly string[], what: string): (url: URL) => boolean {
  if (allow.length === 0) {
    throw new PlanError('INVALID_DEFINITION', `${what}: allow is empty; name the origins that may be called`)
  }
  const at = allow.findIndex((entry: unknown) => typeof entry !== 'string')
  if (at !== -1)
    throw new PlanError('INVALID_DEFINITION', `${what}: allow[${at}] must be a text, got ${shown(allow[at])}`)
  const rules = allow.map((entry) => originRule(entry, what))
  return (url) => rules.some((rule) => rule(url))
}

function originRule(entry: string, what: string): (url: URL) => boolean {
  const isPattern = entry.includes('://*.')
  const url = URL.parse(entry.replace('://*.', '://'))
  if (url === null || !isOriginAlone(url) || entry.includes('*', isPattern ? entry.indexOf('*') + 1 : 0)) {
    throw new PlanError(
      'INVALID_DEFINITION',
      `${what}: allow takes origins such as https://api.example.org and patterns such as https://*.example.org; one entry is neither`,
    )
  }
  if (!isPattern) return ({ origin }) => origin === url.origin
  if (!url.hostname.includes('.')) {
    throw new PlanError('INVALID_DEFINITION', `${what}: the pattern ${entry} allows a whole top-level domain`)
  }
  return ({ protocol, hostname, port }) =>
    protocol === url.protocol && port === url.port && hostname.endsWith(`.${url.hostname}`)
}

function isOriginAlone(url: URL): boolean {
  const isWeb = url.protocol === 'https:' || url.protocol === 'http:'
  return isWeb && url.pathname === '/' && url.search + url.hash + url.username + url.password === ''
}
