import {
  checkContentId,
  checkId,
  type Page,
  type PageRequest,
  type RunFilter,
  type RunRow,
  checkLimit,
  checkWhole,
  pageOf,
  readCursor,
} from '@varve/store'
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { SqlExecutor } from '../executor.ts'
import { queryCompiler, type Params, type Query } from '../query.ts'
import type { RunsTable } from '../schema.ts'
import { rowOf } from './run-record.ts'
import { none, runColumn } from './run-columns.ts'

/** Where a run stands in the list; new runs come before all of these, so they shift none. */
type Position = readonly [createdAt: number, runId: string]

type StatusName = `status${number}`

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
  readonly tags?: unknown
  readonly tagCount?: number
  readonly createdFrom?: number
  readonly createdBefore?: number
  readonly endedBefore?: number
}

/** Lists runs: one query per combination of conditions, compiled when it is first asked for. */
export function runLister(
  executor: SqlExecutor,
  dialect: SqlDialect,
): (filter: RunFilter, page: PageRequest) => Promise<Page<RunRow>> {
  const compiled = new Map<string, Query<ListArgs, RunsTable>>()
  return async (filter, page) => {
    const args = listArgs(dialect, filter, page)
    const shape = `${Object.keys(args).join()} ${filter.parked} ${filter.owing} ${filter.leased} ${filter.statuses?.length}`
    const query = compiled.get(shape) ?? listQuery(dialect, args, filter)
    compiled.set(shape, query)
    const found = await executor.all(query, args)
    return pageOf(found, page.limit, rowOf, (record): Position => [record.created_at, record.run_id])
  }
}

function listArgs(dialect: SqlDialect, filter: RunFilter, page: PageRequest): ListArgs {
  const { workflow, version, statuses, tags, parent, artifact, createdFrom, createdBefore, endedBefore } = filter
  checkLimit(page.limit)
  for (const [what, id] of Object.entries({ workflow, version, parent })) if (id !== undefined) checkId(what, id)
  for (const tag of tags ?? []) checkId('a tag', tag)
  if (artifact !== undefined) checkContentId(artifact)
  const distinct = [...new Set(tags)]
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
    ...(distinct.length > 0 && { tags: dialect.list(distinct), tagCount: distinct.length }),
    ...(createdFrom !== undefined && { createdFrom: whole('createdFrom', createdFrom) }),
    ...(createdBefore !== undefined && { createdBefore: whole('createdBefore', createdBefore) }),
    ...(endedBefore !== undefined && { endedBefore: whole('endedBefore', endedBefore) }),
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
  dialect: SqlDialect,
  p: Params<Required<ListArgs>>,
  shape: ListArgs,
  { parked, owing, leased, statuses }: Flags,
  status: StatusName | undefined,
) {
  let query = dialect.db.selectFrom('runs').selectAll('runs').orderBy('created_at', 'desc').orderBy('run_id', 'desc')
  if (shape.afterAt !== undefined) {
    const position = sql`(${runColumn('created_at')}, ${runColumn('run_id')})`
    query = query.where(sql<boolean>`${position} < (${p.int('afterAt')}, ${p.text('afterId')})`)
  }
  if (shape.workflow !== undefined) query = query.where('workflow', '=', p.text('workflow'))
  if (shape.version !== undefined) query = query.where('version', '=', p.text('version'))
  if (shape.parent !== undefined) query = query.where('parent', '=', p.text('parent'))
  if (status !== undefined) query = query.where('status', '=', p.text(status) as never)
  if (statuses?.length === 0) query = query.where(sql<boolean>`1 = 0`)
  if (shape.createdFrom !== undefined) query = query.where('created_at', '>=', p.int('createdFrom'))
  if (shape.createdBefore !== undefined) query = query.where('created_at', '<', p.int('createdBefore'))
  if (shape.endedBefore !== undefined) query = query.where('ended_at', '<', p.int('endedBefore'))
  if (parked !== undefined) query = query.where('problem', parked ? 'is not' : 'is', none)
  if (owing !== undefined) query = query.where('owes', owing ? 'is not' : 'is', none)
  if (leased !== undefined) query = query.where('lease_until', leased ? 'is not' : 'is', none)
  if (shape.artifact !== undefined) {
    query = query.where('run_id', 'in', (db) =>
      db.selectFrom('run_artifacts').select('run_artifacts.run_id').where('artifact', '=', p.text('artifact')),
    )
  }
  if (shape.tags !== undefined) {
    query = query.where('run_id', 'in', (db) =>
      db
        .selectFrom('run_tags')
        .select('run_tags.run_id')
        .where(p.textIn(sql.ref('run_tags.tag'), 'tags'))
        .groupBy('run_tags.run_id')
        .having(sql<boolean>`count(*) = ${p.int('tagCount')}`),
    )
  }
  return query.limit(p.int('limit'))
}

function whole(what: string, value: number): number {
  checkWhole(what, value, Number.MIN_SAFE_INTEGER)
  return value
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
