/** Names by which contents are called: they are as random as keys, and public. */
const PUBLIC_NAMES =
  /sha(?:1|256|384|512)[:-][A-Za-z0-9+/]{40,}={0,2}|(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])|\/nix\/store\/[0-9a-z]{32}-|(?<![0-9a-z])0x[0-9a-f]{40}(?![0-9a-f])/gi

/** Values of these names are hashes, if they are hex. */
const NAMES_OF_HASHES =
  /(?:hash|sha\d*|md5|digest|checksum|commit|commitment|revision|etag|fingerprint|integrity|(?:tx|transaction)[_-]?id)(?:e?s)?$/i

/**
 * True for a text with a token of 32 characters or more that nobody has thought up. Content ids, UUIDs, addresses of Ethereum, paths of
 * Nix, and hashes that are called so do not count.
 */
export function looksRandom(text: string, name: string | undefined): boolean {
  if (text.length < 32) return false
  if (name !== undefined && NAMES_OF_HASHES.test(name) && /^(?:0x)?[0-9a-f]+$/i.test(text)) return false
  const tokens = text.replace(PUBLIC_NAMES, ' ').match(/[A-Za-z0-9+/_=-]{32,}/g) ?? []
  return tokens.some((token) => isRandomHex(token) || isRandomMixed(token) || token.split(/\W|_/).some(isRandomWord))
}

function isRandomHex(token: string): boolean {
  const digits = /^(?:0x)?([0-9a-f]{32,}|[0-9A-F]{32,})$/.exec(token)?.[1]
  return digits !== undefined && /[a-f]/i.test(digits) && /\d/.test(digits) && new Set(digits).size >= 9
}

/** Base64: what could be words is short, as it is not in camelCase, and other characters are rare, as they are not in paths. */
function isRandomMixed(token: string): boolean {
  const words = token.split(/\W|_/).filter((word) => word !== '')
  const text = words.join('')
  if (!/[a-z]/.test(text) || !/[A-Z]/.test(text) || !/\d/.test(text)) return false
  return text.length / words.length >= 6 && new Set(text).size >= 16 && changes(words) >= 0.28
}

/** Letters of one case and digits, without anything that would make words of them. */
function isRandomWord(word: string): boolean {
  if (!/^(?:[a-z0-9]{32,}|[A-Z0-9]{32,})$/.test(word) || !/[a-z]/i.test(word)) return false
  const share = word.replace(/\D/g, '').length / word.length
  return share >= 0.08 && share <= 0.6 && new Set(word).size >= 13 && changes([word]) >= 0.15
}

/** How often one word, or one number, is followed by another without a gap, as a share of all places where that could be. */
function changes(words: readonly string[]): number {
  const followed = words.reduce((sum, word) => sum + word.length - 1, 0)
  const changed = words.reduce((sum, word) => sum + word.replace(/[A-Z]?[a-z]+|[A-Z]+|\d+/g, '.').length - 1, 0)
  return followed === 0 ? 0 : changed / followed
}
