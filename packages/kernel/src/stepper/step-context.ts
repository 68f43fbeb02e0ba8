import { sha256 } from '@varve/store'
import type { StepContext } from '../workflow/define-workflow.ts'
import type { Ask } from './stepper.ts'

/** What a step may know at a moment of its run; the same on every machine and whenever it is asked again. */
export function stepContext({ now, seed, seq }: Pick<Ask, 'now' | 'seed' | 'seq'>): StepContext {
  const { random, uuid } = derivedRandom(seed, String(seq))
  return { now, random, uuid }
}

/** The same, for whoever has to know whether the step looks at it. Getters cost more than most steps do. */
export function watchedContext(ask: Pick<Ask, 'now' | 'seed' | 'seq'>, onLook: () => void): StepContext {
  const context = stepContext(ask)
  const seen = <T>(value: T): T => {
    onLook()
    return value
  }
  return {
    get now() {
      return seen(context.now)
    },
    random: () => seen(context.random()),
    uuid: () => seen(context.uuid()),
  }
}

/**
 * Randomness that is derived and therefore needs no record.
 *
 * @param place - who draws: digits of any base, so that no two draws hash the same, whatever text the seed is.
 */
export function derivedRandom(seed: string, place: string): Pick<StepContext, 'random' | 'uuid'> {
  let draws = 0
  const draw = (): string => sha256(`${seed}\n${place}\n${draws++}`)
  return {
    random: () => parseInt(draw().slice(0, RANDOM_DIGITS), 16) / 16 ** RANDOM_DIGITS,
    uuid: () => uuidOf(draw()),
  }
}

/** 52 bits: no more fit into a number without being rounded, perhaps to 1. */
const RANDOM_DIGITS = 13

function uuidOf(hash: string): string {
  const variant = ((parseInt(hash.charAt(16), 16) & 0x3) | 0x8).toString(16)
  const version = `4${hash.slice(13, 16)}`
  return [hash.slice(0, 8), hash.slice(8, 12), version, `${variant}${hash.slice(17, 20)}`, hash.slice(20, 32)].join('-')
}
