import type { StoredEvent } from '@varve/store'
import { sql, type QueryCreator, type RawBuilder } from 'kysely'
import type { Params } from '../query.ts'
import { asSchema, type Schema } from '../schema.ts'

/**
 * How the events of a write are bound: as values of their own where it has one or two, as a step has, else as a list for each
 * column. Lists that the driver and the server need not put together are a tenth of what an append costs.
 */
export type EventsForm = 'one' | 'two' | 'lists'

/** All forms. */
export const eventsForms: readonly EventsForm[] = ['one', 'two', 'lists']

/** The columns of an event but for its run. */
const columns = { seq: 'bigint', v: 'bigint', type: 'text', at: 'bigint', body: 'text', hash: 'text' } as const

type Column = keyof typeof columns

/** What is bound for events: which of these, their form says. */
export type EventArgs = Readonly<Partial<Record<`${Column}${0 | 1 | 'List'}`, unknown>>>

/** The form in which these events are bound. */
export function formOf({ length }: readonly StoredEvent[]): EventsForm {
  return length === 1 ? 'one' : length === 2 ? 'two' : 'lists'
}

/** What to bind for events, in their form. */
export function eventArgs(events: readonly StoredEvent[]): EventArgs {
  const [first, second] = events
  if (first === undefined || events.length > 2) return listArgs(events)
  const { seq: seq0, v: v0, type: type0, at: at0, body: body0, hash: hash0 } = first
  if (second === undefined) return { seq0, v0, type0, at0, body0, hash0 }
  const { seq: seq1, v: v1, type: type1, at: at1, body: body1, hash: hash1 } = second
  return { seq0, v0, type0, at0, body0, hash0, seq1, v1, type1, at1, body1, hash1 }
}

function listArgs(events: readonly StoredEvent[]): EventArgs {
  return {
    seqList: events.map(({ seq }) => seq),
    vList: events.map(({ v }) => v),
    typeList: events.map(({ type }) => type),
    atList: events.map(({ at }) => at),
    bodyList: events.map(({ body }) => body),
    hashList: events.map(({ hash }) => hash),
  }
}

/** Inserts the events once for the row that `changed` answers: not at all when it answers none. */
// Without a return type: it is the query builder's own, which only inference can name.
export function logging<DB extends Schema, Args extends EventArgs>(
  db: QueryCreator<DB>,
  p: Params<Args>,
  form: EventsForm,
) {
  const given = form === 'lists' ? sql`unnest(${bound(p, 'List')})` : values(p, form)
  return asSchema(db)
    .insertInto('events')
    .columns(['run_id', 'seq', 'v', 'type', 'at', 'body', 'hash'])
    .expression(sql`select changed.run_id, event.* from changed, ${given} as event`)
}

function values(p: Params<EventArgs>, form: 'one' | 'two'): RawBuilder<unknown> {
  const first = sql`(${bound(p, 0)})`
  return form === 'one' ? sql`(values ${first})` : sql`(values ${first}, (${bound(p, 1)}))`
}

/** What is bound for each column, in the order of the insert. */
function bound(p: Params<EventArgs>, place: 0 | 1 | 'List'): RawBuilder<unknown> {
  const names = Object.keys(columns) as Column[]
  const typeOf = (column: Column) => sql.raw(place === 'List' ? `${columns[column]}[]` : columns[column])
  return sql.join(names.map((column) => sql`cast(${p.bare(`${column}${place}`)} as ${typeOf(column)})`))
}
