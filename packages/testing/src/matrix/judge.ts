import { inspect, isDeepStrictEqual } from 'node:util'
import type { CalledAction, CaseRecord } from './record.ts'
import type { PlayedCase } from './play-case.ts'
import type { FactRecord } from './watched-facts.ts'

/** What one case must not do, seen beside the undisturbed one: a sentence for each promise that it broke. */
export function judge(played: PlayedCase, undisturbed: PlayedCase, crashed: boolean): string[] {
  const { record } = played
  return [
    ...played.faults,
    ...record.early,
    ...record.unfinished,
    ...record.facts.rereads,
    ...record.facts.faults,
    ...differencesOf(played.runs, undisturbed.runs),
    ...differenceOf('the outside', played.outside, undisturbed.outside),
    ...[...record.actions.values()].flatMap((action) => faultsOfAction(action)),
    ...faultsOfKeys(record, undisturbed.record),
    ...faultsOfCounts(record, undisturbed.record, crashed),
  ]
}

function differencesOf(runs: ReadonlyMap<string, unknown>, expected: ReadonlyMap<string, unknown>): string[] {
  return [
    ...[...expected.keys()].filter((id) => !runs.has(id)).map((id) => `there is no run ${id}`),
    ...[...runs].flatMap(([id, run]) =>
      expected.has(id) ? differenceOf(`run ${id}`, run, expected.get(id)) : [`there is a run ${id} more`],
    ),
  ]
}

function differenceOf(what: string, is: unknown, expected: unknown): string[] {
  if (isDeepStrictEqual(is, expected)) return []
  return [`${what} came to ${textOf(is)} instead of ${textOf(expected)}`]
}

function textOf(value: unknown): string {
  return inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, compact: true, sorted: true })
}

/** No attempt is ever made twice: it is durable before it is made. */
function faultsOfAction({ runId, key, name, attempts }: CalledAction): string[] {
  const repeated = attempts.filter((attempt, i) => attempts.indexOf(attempt) !== i)
  return repeated.map((attempt) => `${runId}: attempt ${attempt} of ${key} (${name}) was made twice`)
}

function faultsOfKeys({ actions, effects }: CaseRecord, expected: CaseRecord): string[] {
  const missing = [...expected.actions].filter(([id, { effect }]) => effect !== 'at-most-once' && !actions.has(id))
  const added = [...actions].filter(([id]) => !expected.actions.has(id))
  const lost = [...expected.effects].filter(([key, { atMostOnce }]) => !atMostOnce && !effects.has(key))
  const strange = [...effects.keys()].filter((key) => !expected.effects.has(key))
  return [
    ...missing.map(([, { runId, key, name }]) => `${runId}: ${key} (${name}) was never carried out`),
    ...added.map(([, { runId, key, name }]) => `${runId}: ${key} (${name}) was carried out only here`),
    ...lost.map(([key]) => `nothing took effect under the key ${key}`),
    ...strange.map(
      (key) => `something took effect under the key ${key}, which only this case has: a repetition is not recognised`,
    ),
  ]
}

/** What is idempotent may be repeated because of a crash; what happens at most once may not, whatever happens. */
function faultsOfCounts({ actions, effects, facts }: CaseRecord, expected: CaseRecord, crashed: boolean): string[] {
  const called = [...actions].flatMap(([id, { runId, key, name, effect, fenced, attempts }]) => {
    const before = expected.actions.get(id)?.attempts ?? [1]
    const tooOften = effect === 'at-most-once' && !fenced && attempts.length > before.length
    const otherwise = !crashed && attempts.join() !== before.join()
    if (!tooOften && !otherwise) return []
    return [`${runId}: of ${key} (${name}, ${effect}) the attempts ${attempts.join()} were made, not ${before.join()}`]
  })
  const counted = [...effects].flatMap(([key, { times, atMostOnce }]) => {
    const before = expected.effects.get(key)?.times ?? times
    const wrong = atMostOnce ? times > before : !crashed && times !== before
    return wrong ? [`something took effect ${times} times, not ${before}, under the key ${key}`] : []
  })
  return [...called, ...counted, ...faultsOfReads(facts, expected.facts, crashed)]
}

/** A crash before a fact is durable has it read again; that a recorded one never is has been seen at each reading. */
function faultsOfReads({ reads }: FactRecord, expected: FactRecord, crashed: boolean): string[] {
  if (crashed) return []
  const slots = new Set([...reads.keys(), ...expected.reads.keys()])
  return [...slots].flatMap((slot) => {
    const [times, before] = [reads.get(slot) ?? 0, expected.reads.get(slot) ?? 0]
    return times === before ? [] : [`the fact ${slot} was read ${times} times, not ${before}`]
  })
}
