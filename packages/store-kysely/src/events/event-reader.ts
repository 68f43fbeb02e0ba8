import { checkId, type EventStore, type ReadRange, type StoredEvent, checkWhole } from '@varve/store'
import { sql, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { SqlExecutor } from '../executor.ts'
import { perDialect, queryCompiler, type Params, type Query, type StoredColumns } from '../query.ts'

/** Bounds of one page: a log is never held in memory as a whole, however long it is and however large its events are. */
const PAGE_EVENTS = 1000
const PAGE_BYTES = 4 * 1024 * 1024

interface PageArgs {
  readonly runId: string
  readonly from: number
  readonly to: number
  readonly bytes: number
}

/** An event, and where its log ended when the page was read. */
type PageRecord = EventRecord & { readonly head: number | null }

/** Reads logs page by page. */
export function eventReader(executor: SqlExecutor, dialect: SqlDialect): EventStore['read'] {
  const queries = { page: pageQuery(dialect), one: oneQuery(dialect), greatest: dialect.logs.greatest }
  return (runId, range) => new LogReader(runId, pagesOf(executor, queries, runId, range))
}

interface ReadQueries {
  readonly page: Query<PageArgs, PageRecord>
  readonly one: Query<Pick<PageArgs, 'runId' | 'from'>, EventRecord>
  readonly greatest: number
}

type Pages = AsyncIterator<readonly EventRecord[], undefined>

async function* pagesOf(
  executor: SqlExecutor,
  queries: ReadQueries,
  runId: string,
  range: ReadRange = {},
): AsyncGenerator<readonly EventRecord[], undefined> {
  checkId('the run id', runId)
  const { from, last } = boundsOf(range, queries.greatest)
  if (from === last) {
    const record = await executor.get(queries.one, { runId, from })
    if (record !== undefined) yield [record]
    return
  }
  const pageFrom = (next: number, end: number): Promise<readonly PageRecord[]> =>
    executor.all(queries.page, { runId, from: next, to: Math.min(end, next + PAGE_EVENTS - 1), bytes: PAGE_BYTES })
  let page = from <= last ? await pageFrom(from, last) : []
  for (let newest = page.at(-1); newest !== undefined; newest = page.at(-1)) {
    const end = Math.min(last, newest.head ?? newest.seq)
    // The database is at work on the next page while this one is taken.
    const following = newest.seq < end ? pageFrom(newest.seq + 1, end) : undefined
    following?.catch(ignore)
    yield page
    if (following === undefined) return
    page = await following
  }
}

/** Told when the page is asked for; nobody asks for it when the reader has stopped. */
function ignore(): void {
  // Nothing is lost.
}

/** The events of pages one by one. By hand: the turns that a generator takes for each event are 2 to 4 % of what a resume takes. */
class LogReader implements AsyncIterableIterator<StoredEvent, undefined> {
  readonly #runId: string
  readonly #pages: Pages
  #page: readonly EventRecord[] = []
  #taken = 0
  /** Those who wait for a page stand in a line; who comes meanwhile stands behind them. */
  #waiting = 0
  #line: Promise<unknown> = Promise.resolve()

  constructor(runId: string, pages: Pages) {
    this.#runId = runId
    this.#pages = pages
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<StoredEvent, undefined>> {
    const event = this.#waiting === 0 ? this.#take() : undefined
    return event === undefined ? this.#nextInLine() : Promise.resolve({ value: event, done: false })
  }

  async return(): Promise<IteratorResult<StoredEvent, undefined>> {
    this.#page = []
    await this.#pages.return?.()
    // One may have come meanwhile.
    this.#page = []
    return { value: undefined, done: true }
  }

  #take(): StoredEvent | undefined {
    const record = this.#page[this.#taken]
    if (record === undefined) return undefined
    this.#taken += 1
    const { seq, v, type, at, body, hash } = record
    return { runId: this.#runId, seq, v, type, at, body, hash }
  }

  #nextInLine(): Promise<IteratorResult<StoredEvent, undefined>> {
    this.#waiting += 1
    const answer = this.#line.then(() => this.#nextOfPages())
    const left = (): void => void (this.#waiting -= 1)
    this.#line = answer.then(left, left)
    return answer
  }

  async #nextOfPages(): Promise<IteratorResult<StoredEvent, undefined>> {
    for (;;) {
      const event = this.#take()
      if (event !== undefined) return { value: event, done: false }
      const { value: page, done } = await this.#pages.next()
      if (done === true) return { value: undefined, done }
      this.#page = page
      this.#taken = 0
    }
  }
}

function boundsOf(
  { from = 1, to = Number.MAX_SAFE_INTEGER, limit }: ReadRange,
  greatest: number,
): { from: number; last: number } {
  checkWhole('from', from, 0)
  checkWhole('to', to, 0)
  if (limit !== undefined) checkWhole('limit', limit, 0)
  const first = Math.max(from, 1)
  return { from: first, last: Math.min(to, greatest, limit === undefined ? to : first + limit - 1) }
}

/** An event but for its run. */
export type EventRecord = Omit<StoredEvent, 'runId'>

/** The columns of an event besides its run. */
export const eventColumns = {
  seq: 'bigint',
  v: 'bigint',
  type: 'text',
  at: 'bigint',
  body: 'text',
  hash: 'text',
} as const satisfies StoredColumns<EventRecord>

/** One event needs no bounds: the plan of the other query takes longer than all the rest. */
export const oneQuery = perDialect((dialect): ReadQueries['one'] => {
  const query = queryCompiler(dialect).read((p: Params<Pick<PageArgs, 'runId' | 'from'>>) =>
    dialect.db
      .selectFrom('events')
      .select(['seq', 'v', 'type', 'at', 'body', 'hash'])
      .where(dialect.logs.one(p.text('runId'), p.int('from'))),
  )
  return dialect.stored('read_event', eventColumns, query)
})

/** The events from `from` to `to`, up to the first that begins beyond `bytes`: at least one, if there is one. */
export const pageQuery = perDialect((dialect): Query<PageArgs, PageRecord> => {
  const { db, logs } = dialect
  const order = sql.ref<number>(logs.order)
  const query: Query<PageArgs, PageRecord> = queryCompiler(dialect).read((p: Params<PageArgs>) => {
    const upTo = (to: RawBuilder<number>) => logs.some(p.text('runId'), { from: p.int('from'), to })
    const stretch = db.selectFrom('events').where(upTo(p.int('to')))
    const sizes = stretch.select([
      'seq',
      sql<number>`sum(octet_length(body)) over (order by ${order}) - octet_length(body)`.as('before'),
    ])
    const largest = db
      .selectFrom(sizes.as('sizes'))
      .select(sql<number>`max(sizes.seq)`.as('last'))
      .where('sizes.before', '<', p.int('bytes'))
    const size = stretch.select(sql<number>`sum(octet_length(body))`.as('size'))
    // Running sums cost as much as reading the events: they are made only where one sum says that it must be.
    const lastOfPage = sql<number>`case when ${size} <= ${p.int('bytes')} then ${p.int('to')} else ${largest} end`
    return (
      db
        .selectFrom('events')
        .select(['seq', 'v', 'type', 'at', 'body', 'hash'])
        .select((events) =>
          events.selectFrom('runs').select('runs.head').where('runs.run_id', '=', p.text('runId')).as('head'),
        )
        .where(upTo(lastOfPage))
        .orderBy(order)
        // Where several tables hold logs, they are merged and not sorted when the query tells by what.
        .$if(logs.order !== 'seq', (query) => query.select(order.as('id')))
    )
  })
  return dialect.stored('read_events', { ...eventColumns, head: 'bigint' }, query)
})
