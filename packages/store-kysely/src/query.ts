import { sql, type Compilable, type Expression, type RawBuilder, type SqlBool } from 'kysely'
import type { SqlDialect } from './dialect.ts'

/** A statement as text, compiled once, with what to bind to its placeholders. */
export interface Query<Args, Row> {
  readonly sql: string
  /** For each placeholder in order, the parameter or the constant to bind. */
  readonly bindings: readonly unknown[]
  /** True when it changes the database: the loss of its answer leaves the outcome unknown. */
  readonly writes: boolean
  /** False where its answer does not wait for the disk: see {@link SqlDialect.unflushed}. Default true. */
  readonly flushed?: boolean
  /** How to call it where the database keeps it as a function. Answers the same for the same bindings. */
  readonly stored?: StoredStatement
  /** Never there: ties the types of the arguments and of the rows to the text. */
  readonly types?: (args: Args) => Row
}

/** A statement as a function of the database, which keeps its plan although no session names it. */
export interface StoredStatement {
  /** Ends in a hash of all that the function does: releases of which each has its own text have their own beside each other's. */
  readonly name: string
  /** Makes the function. */
  readonly definition: string
  /** Calls it with the bindings of the query. */
  readonly call: string
  /** The one column of its one row, which is null where the query answers no row. Absent where it answers rows as the query does. */
  readonly value?: string
}

/** The columns of a row, as a function declares them. */
export type StoredColumns<Row> = Readonly<Record<keyof Row & string, 'bigint' | 'integer' | 'text'>>

/** Stands in a query for a value that is given when it runs. */
class Parameter {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** The parameters of a query that takes `Args`. */
export interface Params<Args> {
  /** The store's time, the same wherever it stands in one statement. A query that uses it takes a `now`. */
  readonly now: RawBuilder<number>
  int<K extends keyof Args & string>(name: K): RawBuilder<Args[K]>
  text<K extends keyof Args & string>(name: K): RawBuilder<Args[K]>
  bytes<K extends keyof Args & string>(name: K): RawBuilder<Args[K]>
  /** The placeholder as it is, without a type. */
  bare(name: keyof Args & string): RawBuilder<unknown>
  /** True when the value is in a list that was bound with {@link SqlDialect.list}. */
  textIn(value: Expression<string>, list: keyof Args & string): RawBuilder<SqlBool>
  intIn(value: Expression<number>, list: keyof Args & string): RawBuilder<SqlBool>
  /** True when the two values stand at the same position of the two lists. */
  pairIn(
    pair: readonly [Expression<string>, Expression<string>],
    lists: readonly [keyof Args & string, keyof Args & string],
  ): RawBuilder<SqlBool>
}

/** Compiles queries for one dialect. The types of the arguments and the rows follow from the builder. */
export interface QueryCompiler {
  readonly read: <Args, Row>(build: (p: Params<Args>) => Compilable<Row>) => Query<Args, Row>
  readonly write: <Args, Row>(build: (p: Params<Args>) => Compilable<Row>) => Query<Args, Row>
}

/** Makes the compiler of a dialect. */
export function queryCompiler(dialect: SqlDialect): QueryCompiler {
  return {
    read: (build) => ({ ...compile(dialect, build(paramsOf(dialect))), writes: false }),
    write: (build) => ({ ...compile(dialect, build(paramsOf(dialect))), writes: true }),
  }
}

/**
 * Makes what follows from a dialect once for each: to compile all queries of a store takes longer than to open it, so those
 * on the same dialect share them.
 */
export function perDialect<T extends object>(make: (dialect: SqlDialect) => T): (dialect: SqlDialect) => T {
  const made = new WeakMap<SqlDialect, T>()
  return (dialect) => {
    const known = made.get(dialect) ?? make(dialect)
    made.set(dialect, known)
    return known
  }
}

/** The values to bind for one execution. */
export function boundValues<Args>(query: Query<Args, unknown>, args: Args): unknown[] {
  const { bindings } = query
  const values = new Array<unknown>(bindings.length)
  for (let i = 0; i < bindings.length; i++) {
    const binding = bindings[i]
    values[i] = binding instanceof Parameter ? args[binding.name as keyof Args] : binding
  }
  return values
}

function compile(
  dialect: SqlDialect,
  builder: Compilable,
): { readonly sql: string; readonly bindings: readonly unknown[] } {
  const { sql: text, parameters } = builder.compile()
  return dialect.sharesPlaceholders ? shareNumbered(text, parameters) : { sql: text, bindings: parameters }
}

/** `$1, $2` for the same parameter become one: it is sent once, and the server knows that both are equal. */
function shareNumbered(text: string, parameters: readonly unknown[]): { sql: string; bindings: readonly unknown[] } {
  const keys = parameters.map((value) => (value instanceof Parameter ? value.name : value))
  const distinct = [...new Set(keys)]
  return {
    sql: text.replaceAll(/\$(\d+)/g, (_, number: string) => `$${distinct.indexOf(keys[Number(number) - 1]) + 1}`),
    bindings: distinct.map((key) => parameters[keys.indexOf(key)]),
  }
}

/** As the parameters of a statement that does the same for each row of a table: the columns of that table, by their names. */
export function rowParams<Args>(dialect: SqlDialect, table: string): Params<Args> {
  return paramsBy(dialect, (name) => sql.id(table, name))
}

function paramsOf<Args>(dialect: SqlDialect): Params<Args> {
  return paramsBy(dialect, (name) => sql`${new Parameter(name)}`)
}

function paramsBy<Args>(dialect: SqlDialect, bare: (name: string) => RawBuilder<unknown>): Params<Args> {
  const typed = (type: 'bigint' | 'text' | 'bytea') => (name: string) => dialect.typed(bare(name), type)
  return {
    now: dialect.now(bare('now')),
    int: typed('bigint') as Params<Args>['int'],
    text: typed('text') as Params<Args>['text'],
    bytes: typed('bytea') as Params<Args>['bytes'],
    bare,
    textIn: (value, name) => dialect.anyOf(value, bare(name), 'text'),
    intIn: (value, name) => dialect.anyOf(value, bare(name), 'bigint'),
    pairIn: (pair, [first, second]) => dialect.pairIn(pair, [bare(first), bare(second)]),
  }
}
