import { contentId, type ContentId } from '@varve/store'

/** The ids of so many contents, which nobody has to have put: what is referred to need not be there. */
export function sampleIds(count: number, of = 'content'): readonly ContentId[] {
  return Array.from({ length: count }, (_, n) => contentId(`${of} ${n}`))
}

/** What no content can have as its id. */
export const wrongIds = [
  '',
  'sha256:',
  `sha256:${'a'.repeat(63)}`,
  `sha256:${'a'.repeat(65)}`,
  `sha256:${'A'.repeat(64)}`,
  `sha256:${'a'.repeat(64)}\n`,
  `sha512:${'a'.repeat(64)}`,
  'a'.repeat(64),
  `../sha256:${'a'.repeat(64)}`,
  null,
  undefined,
  7,
] as ContentId[]
