import {
  checkId,
  checkRunFilter,
  pageOf,
  readCursor,
  type Page,
  type PageRequest,
  type RunFilter,
  type RunRow,
} from '@varve/store'
import { sql, type RawBuilder } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { SqlExecutor } from '../executor.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import type { RunsTable } from '../schema.ts'
import { rowOf } from './run-record.ts'
import { runColumn } from './run-columns.ts'

/**
 * Of so many tags the runs are looked up, so that a database that knows which is rarer begins with it. Those of more are compared: how to
 * join many tables takes longer to plan than all the rest, and there is a most.
 */
const JOINED_TAGS = 2

/** Where a run stands in the list; new runs come before all of these, so they shift none. */
type Position = readonly [createdAt: number, runId: string]

type StatusName = `status${number}`
type TagName = `tag${number}`

interface ListArgs {
  readonly limit: number
  readonly afterAt?: number
  readonly afterId?: string
  readonly workflow?: string
  readonly version?: string
  readonly parent?: string
  readonly artifact?: string
  /** One for each status that is asked for. */
  readonly [status: StatusName]: string
  /** One for each of the first tags. */
  readonly [tag: TagName]: string
  readonly otherTags?: unknown
  readonly otherTagCount?: number
  readonly createdFrom?: number
  readonly createdBefore?: number
  readonly endedBefore?: number
}

/** Lists runs: one query per combination of conditions, compiled when it is first asked for. */
export function runLister(
  executor: SqlExecutor,
  dialect: SqlDialect,
): (filter: RunFilter, page: PageRequest) => Promise<Page<RunRow>> {
  const compiled = compiledLists(dialect)
  return async (filter, page) => {
    const args = listArgs(dialect, filter, page)
    const shape = `${Object.keys(args).join()} ${filter.parked} ${filter.owing} ${filter.leased} ${filter.statuses?.length}`
    const query = compiled.get(shape) ?? listQuery(dialect, args, filter)
    compiled.set(shape, query)
    const found = await executor.all(query, args)
    return pageOf(found, page.limit, rowOf, (record): Position => [record.created_at, record.run_id])
  }
}

const compiledLists = perDialect(() => new Map<string, Query<ListArgs, RunsTable>>())

function listArgs(dialect: SqlDialect, filter: RunFilter, page: PageRequest): ListArgs {
  checkRunFilter(filter, page)
  const { workflow, version, statuses, tags, parent, artifact, createdFrom, createdBefore, endedBefore } = filter
  const distinct = [...new Set(tags)]
  const otherTags = distinct.slice(JOINED_TAGS)
  const after = page.cursor === undefined ? undefined : readCursor(page.cursor, isPosition)
  return {
    // One more than asked for tells whether there is a next page.
    limit: page.limit + 1,
    ...(after !== undefined && { afterAt: after[0], afterId: after[1] }),
    ...(workflow !== undefined && { workflow }),
    ...(version !== undefined && { version }),
    ...(parent !== undefined && { parent }),
    ...(artifact !== undefined && { artifact }),
    ...Object.fromEntries([...new Set(statuses)].map((status, n) => [`status${n}`, status])),
    ...Object.fromEntries(distinct.slice(0, JOINED_TAGS).map((tag, n) => [`tag${n}`, tag])),
    ...(otherTags.length > 0 && { otherTags: dialect.list(otherTags), otherTagCount: otherTags.length }),
    ...(createdFrom !== undefined && { createdFrom }),
    ...(createdBefore !== undefined && { createdBefore }),
    ...(endedBefore !== undefined && { endedBefore }),
  }
}

type Flags = Pick<RunFilter, 'parked' | 'owing' | 'leased' | 'statuses'>

/**
 * The newest runs of each status are found in the order of its index, and then the newest of these. Of several statuses at once
 * all runs would be read, and sorted.
 */
function listQuery(dialect: SqlDialect, shape: ListArgs, flags: Flags): Query<ListArgs, RunsTable> {
  const { db } = dialect
  const names = Object.keys(shape).filter((name): name is StatusName => name.startsWith('status'))
  return queryCompiler(dialect).read((p: Params<Required<ListArgs>>) => {
    const [first, ...others] = names.map((name) =>
      db.selectFrom(newest(dialect, p, shape, flags, name).as('newest')).selectAll(),
    )
    if (first === undefined || others.length === 0) return newest(dialect, p, shape, flags, names[0])
    return db
      .selectFrom(others.reduce((all, each) => all.unionAll(each), first).as('listed'))
      .selectAll()
      .orderBy('created_at', 'desc')
      .orderBy('run_id', 'desc')
      .limit(p.int('limit'))
  }) as Query<ListArgs, RunsTable>
}

/** The newest runs of one status, or of any. */
// Without a return type: it is the query builder's own, which only inference can name.
function newest(
  { db }: SqlDialect,
  p: Params<Required<ListArgs>>,
  shape: ListArgs,
  flags: Flags,
  status: StatusName | undefined,
) {
  const tags = Object.keys(shape).filter((name): name is TagName => /^tag\d/.test(name))
  const isReferring = shape.artifact !== undefined
  // Most artifacts are of fewer runs than most tags.
  const listed = isReferring ? 'reference' : (tags[0] ?? 'runs')
  const createdAt = sql.ref<number>(`${listed}.created_at`)
  const runId = sql.ref<string>(`${listed}.run_id`)
  let query = db.selectFrom('runs').selectAll('runs').orderBy(createdAt, 'desc').orderBy(runId, 'desc')
  for (const tag of tags) {
    query = query.innerJoin(`run_tags as ${tag}`, (join) =>
      join.on(sql.ref(`${tag}.tag`), '=', p.text(tag)).on(sql.ref(`${tag}.run_id`), '=', sql.ref('runs.run_id')),
    )
  }
  if (isReferring) {
    query = query.innerJoin('run_artifacts as reference', (join) =>
      join.on('reference.artifact', '=', p.text('artifact')).on('reference.run_id', '=', sql.ref('runs.run_id')),
    )
  }
  if (shape.afterAt !== undefined) {
    query = query.where(sql<boolean>`(${createdAt}, ${runId}) < (${p.int('afterAt')}, ${p.text('afterId')})`)
  }
  if (shape.createdFrom !== undefined) query = query.where(createdAt, '>=', p.int('createdFrom'))
  if (shape.createdBefore !== undefined) query = query.where(createdAt, '<', p.int('createdBefore'))
  for (const condition of conditions(db, p, shape, flags, status)) {
    // The runs of a tag are read in their order among its own. A database without statistics, or with old ones, might think that
    // few runs are of a status, and compare all of them with all that have the tag.
    query = query.where(tags.length === 0 ? condition : sql<boolean>`case when ${condition} then 1 = 1 end`)
  }
  return query.limit(p.int('limit'))
}

/** What a run has to be like, besides its place in the list. */
function conditions(
  db: SqlDialect['db'],
  p: Params<Required<ListArgs>>,
  shape: ListArgs,
  { parked, owing, leased, statuses }: Flags,
  status: StatusName | undefined,
): readonly RawBuilder<boolean>[] {
  const isGiven = (column: keyof RunsTable, given: boolean) =>
    sql<boolean>`${runColumn(column)} ${sql.raw(given ? 'is not null' : 'is null')}`
  const all: RawBuilder<boolean>[] = []
  if (shape.otherTags !== undefined) {
    const count = db
      .selectFrom('run_tags')
      .select(sql<number>`count(*)`.as('count'))
      .where('run_tags.created_at', '=', runColumn('created_at'))
      .where('run_tags.run_id', '=', runColumn('run_id'))
      .where(p.textIn(sql.ref('run_tags.tag'), 'otherTags'))
    all.push(sql`${count} = ${p.int('otherTagCount')}`)
  }
  if (shape.workflow !== undefined) all.push(sql`${runColumn('workflow')} = ${p.text('workflow')}`)
  if (shape.version !== undefined) all.push(sql`${runColumn('version')} = ${p.text('version')}`)
  if (shape.parent !== undefined) all.push(sql`${runColumn('parent')} = ${p.text('parent')}`)
  if (status !== undefined) all.push(sql`${runColumn('status')} = ${p.text(status)}`)
  if (statuses?.length === 0) all.push(sql`1 = 0`)
  if (shape.endedBefore !== undefined) all.push(sql`${runColumn('ended_at')} < ${p.int('endedBefore')}`)
  if (parked !== undefined) all.push(isGiven('problem', parked))
  if (owing !== undefined) all.push(isGiven('owes', owing))
  if (leased !== undefined) all.push(isGiven('lease_until', leased))
  return all
}

function isPosition(value: unknown): value is Position {
  return Array.isArray(value) && value.length === 2 && Number.isSafeInteger(value[0]) && isId(value[1])
}

function isId(value: unknown): boolean {
  try {
    checkId('a run', value)
    return true
  } catch {
    return false
  }
}
