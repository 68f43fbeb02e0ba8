import { sha256 } from '@varve/store'
import type { StoredOptions } from '../dialect.ts'
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
  { flushed = true }: StoredOptions = {},
): Query<Args, Row> {
  const rows = Object.entries(columns).map(([column, type]) => `"${column}" ${String(type)}`)
  // Until the end of the transaction, so that its commit finds it: a setting of the function would be over before.
  const commit = flushed ? '' : `perform set_config('synchronous_commit', 'off', true);\n  `
  const body = `begin
  ${commit}return query ${query.sql};
end`
  const { name: ownName, definition, args } = functionOf(schema, name, `table (${rows.join(', ')})`, query, body)
  return { ...query, stored: { name: ownName, definition, call: `select * from ${args}` } }
}

/**
 * As {@link stored}, for a query that answers at most one row of one column: the server puts no table of rows together for it,
 * which is some 2 % of what a step costs.
 */
export function storedValue<Args, Row>(
  schema: string,
  name: string,
  column: StoredColumns<Row>,
  query: Query<Args, Row>,
): Query<Args, Row> {
  const [[value, type] = ['', '']] = Object.entries(column)
  const body = `declare result ${String(type)};
begin
  ${query.sql} into result;
  return result;
end`
  const { name: ownName, definition, args } = functionOf(schema, name, String(type), query, body)
  return { ...query, stored: { name: ownName, definition, call: `select ${args} as "${value}"`, value } }
}

/** A function that runs a query in its body, and the text of a call of it. */
function functionOf(
  schema: string,
  name: string,
  returns: string,
  { sql, bindings }: Query<never, unknown>,
  body: string,
): Pick<StoredStatement, 'name' | 'definition'> & { readonly args: string } {
  const types = bindings.map((_, i) => typeOf(sql, i + 1))
  const given = bindings.map((_, i) => `$${i + 1}`)
  const head = `(${types.join(', ')}) returns ${returns} language plpgsql ${settingsFor(sql)} as`
  // A column and the result of its name are told apart: in the statement stands the column.
  const code = `$stored$
#variable_conflict use_column
${body} $stored$`
  const ownName = `${name}_${sha256(`${head} ${code}`).slice(0, 12)}`
  return {
    name: ownName,
    definition: `create function "${schema}"."${ownName}"${head} ${code}`,
    args: `"${schema}"."${ownName}"(${given.join(', ')})`,
  }
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
