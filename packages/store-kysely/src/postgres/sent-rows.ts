import type { StoredEvent } from '@varve/store'
import { sql, type RawBuilder } from 'kysely'
import type { Params } from '../query.ts'
import { packedIntegers, packedTexts, unpackedTexts } from './packed-list.ts'

/** A column that is sent as one list for all rows. */
interface Column<Row> {
  readonly type: 'text' | 'bigint'
  readonly packed: (rows: readonly Row[]) => string
}

/** The columns of a table that is sent as one list for each. */
export type Columns<Row, Name extends string = string> = Readonly<Record<Name, Column<Row>>>

/** The lists, by table and column. */
export type SentArgs = Readonly<Record<string, string>>

// Each column is read by a function of its own: one that is given the name of the property takes several times as long.
/** A column of texts. */
export const text = <Row>(textOf: (row: Row) => string | null): Column<Row> => ({
  type: 'text',
  packed: (rows) => packedTexts(rows, textOf),
})

/** A column of integers. */
export const int = <Row>(integerOf: (row: Row) => number | null): Column<Row> => ({
  type: 'bigint',
  packed: (rows) => packedIntegers(rows, integerOf),
})

/** The columns of events, in the order of the insert. */
export const loggedColumns: Columns<StoredEvent, keyof StoredEvent> = {
  runId: text((event) => event.runId),
  seq: int((event) => event.seq),
  v: int((event) => event.v),
  type: text((event) => event.type),
  at: int((event) => event.at),
  body: text((event) => event.body),
  hash: text((event) => event.hash),
}

/** Adds rows as one list for each column. */
export function pack<Row>(
  args: Record<string, string>,
  table: string,
  columns: Columns<Row>,
  rows: readonly Row[],
): void {
  for (const [name, { packed }] of Object.entries(columns)) args[`${table}.${name}`] = packed(rows)
}

/** The rows of a table that was sent as lists. */
export function sent<Row>(p: Params<SentArgs>, table: string, columns: Columns<Row>): RawBuilder<unknown> {
  const lists = Object.entries(columns).map(([column, { type }]) => {
    const list = p.bare(`${table}.${column}`)
    return type === 'text' ? unpackedTexts(list) : sql`cast(${list} as bigint[])`
  })
  const names = Object.keys(columns).map((column) => sql.id(column))
  return sql`unnest(${sql.join(lists)}) as ${sql.id(table)}(${sql.join(names)})`
}
