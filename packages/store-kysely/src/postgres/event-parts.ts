import { defaultLimits, type StoredEvent } from '@varve/store'
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import { get, run, type Steps } from '../executor.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import { isPackable } from './packed-list.ts'
import { loggedColumns, pack, sent, type SentArgs } from './sent-rows.ts'

/**
 * The longest text of bodies that one statement sends, in UTF-16 code units. What a run appends has no more bytes, unless its kernel
 * is allowed more: only what creates a run with the log or the signals of another is longer.
 */
const MOST_LENGTH = defaultLimits.appendBytes

/** True for events that are more than one statement sends: in one, all their bodies would be one text, and a text has an end. */
export function isInParts(events: readonly StoredEvent[]): boolean {
  let length = 0
  for (const { body } of events) length += body.length
  return length > MOST_LENGTH && events.length > 1
}

/**
 * Writes a run's row with the first event, and the others behind it in the same transaction. The row is locked from then on, so what
 * was compared holds until the commit. Of each part the lists are made when the one before it is written.
 *
 * @param write - Makes the write with these events only; answers undefined when it is refused, and nothing more is written.
 */
export function* inParts<Args, Row>(
  dialect: SqlDialect,
  events: readonly StoredEvent[],
  write: (events: readonly StoredEvent[]) => BoundQuery<Args, Row>,
): Steps<Row | undefined> {
  const { query, args } = write(events.slice(0, 1))
  const row = yield* get(query, args)
  if (row === undefined) return undefined
  const { one, several } = partQueries(dialect)
  for (const part of partsOf(events.slice(1))) {
    const [event, second] = part
    if (event !== undefined && second === undefined) yield* run(one, event)
    else yield* run(several, packed(part))
  }
  return row
}

/** A query with what it binds. */
export interface BoundQuery<Args, Row> {
  readonly query: Query<Args, Row>
  readonly args: Args
}

/** The events in their order, cut where a part would become too long. What cannot stand in a list is a part by itself. */
function* partsOf(events: readonly StoredEvent[]): Generator<readonly StoredEvent[], void> {
  let part: StoredEvent[] = []
  let length = 0
  for (const event of events) {
    const added = isPackable(event.body) ? event.body.length : Infinity
    if (part.length > 0 && length + added > MOST_LENGTH) {
      yield part
      part = []
      length = 0
    }
    part.push(event)
    length += added
  }
  if (part.length > 0) yield part
}

function packed(events: readonly StoredEvent[]): SentArgs {
  const args: Record<string, string> = {}
  pack(args, 'event', loggedColumns, events)
  return args
}

interface PartQueries {
  readonly one: Query<StoredEvent, unknown>
  /** As packed lists: to quote each text of an array takes the driver forty times the memory of a text that is all quotes. */
  readonly several: Query<SentArgs, unknown>
}

const partQueries = perDialect((dialect): PartQueries => {
  const { db } = dialect
  const { write } = queryCompiler(dialect)
  return {
    one: write((p: Params<StoredEvent>) =>
      db.insertInto('events').values({
        run_id: p.text('runId'),
        seq: p.int('seq'),
        v: p.int('v'),
        type: p.text('type'),
        at: p.int('at'),
        body: p.text('body'),
        hash: p.text('hash'),
      }),
    ),
    several: write((p: Params<SentArgs>) =>
      db
        .insertInto('events')
        .columns(['run_id', 'seq', 'v', 'type', 'at', 'body', 'hash'])
        .expression(sql`select event.* from ${sent(p, 'event', loggedColumns)}`),
    ),
  }
})
