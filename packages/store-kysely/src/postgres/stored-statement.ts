import { sha256 } from '@varve/store'
import type { Query, StoredColumns, StoredStatement } from '../query.ts'

/** No table is read as a whole because it was small when the plan was made. */
const FOR_ONE_TABLE = 'set enable_seqscan = off'

/** Nor is it joined as a whole; and the plan, which takes long to make, is made once for all arguments. */
const FOR_JOINS =
  'set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan'

/**
 * Lets a statement be called as a function of the schema. PL/pgSQL keeps the plan of a statement as long as the session lasts,
 * without anything that the client would have to name, so it works through a pooler that hands out connections by transaction.
 */
export function stored<Args, Row>(
  schema: string,
  name: string,
  columns: StoredColumns<Row>,
  query: Query<Args, Row>,
): Query<Args, Row> {
  const args = query.bindings.map((_, i) => typeOf(query.sql, i + 1))
  const given = args.map((_, i) => `$${i + 1}`)
  const rows = Object.entries(columns).map(([column, type]) => `"${column}" ${String(type)}`)
  const head = `(${args.join(', ')}) returns table (${rows.join(', ')}) language plpgsql ${settingsFor(query.sql)} as`
  // A column and the result of its name are told apart: in the statement stands the column.
  const body = `$stored$
#variable_conflict use_column
begin
  return query ${query.sql};
end $stored$`
  const ownName = `${name}_${sha256(`${head} ${body}`).slice(0, 12)}`
  const statement: StoredStatement = {
    name: ownName,
    definition: `create function "${schema}"."${ownName}"${head} ${body}`,
    call: `select * from "${schema}"."${ownName}"(${given.join(', ')})`,
  }
  return { ...query, stored: statement }
}

/** Each setting costs a call some microseconds. */
function settingsFor(text: string): string {
  return /\bjoin\b|\bunion\b|\bin \(select\b/.test(text) ? FOR_JOINS : FOR_ONE_TABLE
}

/** The type of a placeholder, which the text says wherever it stands. */
function typeOf(text: string, number: number): string {
  const type = new RegExp(`cast\\(\\$${number} as ([a-z]+(?:\\[\\])?)\\)`).exec(text)?.[1]
  if (type === undefined) throw new TypeError(`the statement does not say the type of $${number}: ${text}`)
  return type
}
