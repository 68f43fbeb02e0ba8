import { checkList, checkNames, checkOptions, isFrom, refusing, shown, type NamesOf } from '@varve/store'
import type { BoundaryName, ProcessFaults } from './boundaries.ts'
import type { CrashMatrixOptions } from './crash-matrix.ts'
import { TestingError } from './errors.ts'
import type { AnyScenario } from './matrix/play-case.ts'

const SCENARIO: NamesOf<AnyScenario> = {
  ...{ open: true, outside: true, workflows: true, begin: true, answer: true },
  ...{ meanwhile: true, ends: true, compare: true, compareOutside: true, kernel: true },
}
const OPTIONS: NamesOf<CrashMatrixOptions> = { pairs: true, points: true, only: true, maxFailures: true }
const FAULTS: NamesOf<ProcessFaults> = { crashAt: true, loseAnswerAt: true, onBoundary: true }

/** A comparison whose name is misspelt is never made, and whatever it would have found passes. */
export function checkScenario(scenario: AnyScenario): void {
  checkGiven('a scenario', scenario, SCENARIO)
  const { open, workflows, begin, outside, answer, meanwhile, ends, compare, compareOutside } = scenario
  checkFunctions({ open, workflows, begin })
  const given = Object.entries({ outside, answer, meanwhile, ends, compare, compareOutside })
  checkFunctions(Object.fromEntries(given.filter(([, value]) => value !== undefined)))
}

/** What is none of these would quietly be another number of cases. */
export function checkMatrixOptions(options: CrashMatrixOptions): void {
  checkGiven('a crash matrix', options, OPTIONS)
  const { pairs, points, maxFailures = 5 } = options
  if (pairs !== undefined) checkPairs(pairs)
  if (points !== undefined) checkFunctions({ points })
  if (!isFrom(1, maxFailures)) throw invalid(`maxFailures must be a number from 1, got ${shown(maxFailures)}`)
}

function checkPairs(pairs: NonNullable<CrashMatrixOptions['pairs']> | null): void {
  if (pairs === 'all' || pairs === 'none') return
  const { sample, seed = 1 } = typeof pairs === 'object' && pairs !== null ? pairs : { sample: undefined }
  if (Number.isSafeInteger(sample) && isFrom(0, sample) && Number.isFinite(seed)) return
  throw invalid(`pairs must be all, none, or an object with a whole number as its sample, got ${shown(pairs)}`)
}

/** A process that is to die where no process ever comes would pass for one that survives. */
export function checkProcessFaults(faults: ProcessFaults): void {
  checkGiven('a simulated process', faults, FAULTS)
  const { crashAt, loseAnswerAt = [] } = faults
  if (crashAt !== undefined && crashAt !== 0 && !isCount(crashAt) && !isBoundary(crashAt)) {
    throw invalid(
      `crashAt must be a boundary such as append:3:after, or its number from 1 (0: none), got ${shown(crashAt)}`,
    )
  }
  refusing(() => checkList('loseAnswerAt', loseAnswerAt), invalid)
  const wrong = loseAnswerAt.find((boundary) => !isBoundary(boundary) || !boundary.endsWith(':after'))
  if (wrong !== undefined)
    throw invalid(`loseAnswerAt must name boundaries such as append:3:after, got ${shown(wrong)}`)
}

/** True for a whole number from 1. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && isFrom(1, value)
}

function isBoundary(value: unknown): value is BoundaryName {
  return typeof value === 'string' && /^.+:[1-9]\d*:(before|after)$/.test(value)
}

/** Of something that was given and cannot be used. */
export function invalid(text: string): TestingError {
  return new TestingError('INVALID_SCENARIO', text)
}

function checkFunctions(functions: Readonly<Record<string, unknown>>): void {
  const wrong = Object.entries(functions).find(([, value]) => typeof value !== 'function')
  if (wrong !== undefined) throw invalid(`${wrong[0]} must be a function, got ${shown(wrong[1])}`)
}

/** @throws TestingError `INVALID_SCENARIO` for anything but an object, and for a name that nobody reads. */
export function checkGiven(what: string, given: object, names: Readonly<Record<string, true>>): void {
  refusing(() => {
    checkOptions(what, given)
    checkNames(what, given, names)
  }, invalid)
}
