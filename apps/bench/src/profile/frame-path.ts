import type { Runtime } from 'node:inspector'

/** Where a function is: package, folder in it where there is one, file, function; outermost first. */
export type FramePath = readonly string[]

const PACKAGE = /\/(?:packages|apps)\/(?<name>[^/]+)\/src\/(?<rest>.+)$/
const DEPENDENCY = /.*\/node_modules\/(?<name>(?:@[^/]+\/)?[^/]+)\/(?<rest>.+)$/

/** @returns undefined for what has no place of its own: the engine's own functions, and code that was made of text. */
export function pathOf({ functionName, url, lineNumber }: Runtime.CallFrame): FramePath | undefined {
  const name = `${functionName === '' ? 'anonymous' : functionName}:${lineNumber + 1}`
  if (url.startsWith('node:')) return ['node', url.slice('node:'.length), name]
  const place = (DEPENDENCY.exec(url) ?? PACKAGE.exec(url))?.groups
  if (place !== undefined) return [place['name'] ?? '', ...filePath(place['rest'] ?? ''), name]
  return url === '' ? undefined : ['elsewhere', url.slice(url.lastIndexOf('/') + 1), name]
}

/** The folder is one name, however deep. */
function filePath(rest: string): readonly string[] {
  const at = rest.lastIndexOf('/')
  return at === -1 ? [rest] : [rest.slice(0, at), rest.slice(at + 1)]
}
