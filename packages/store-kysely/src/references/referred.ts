import { checkContentIds, type ContentId } from '@varve/store'
import type { SqlDialect } from '../dialect.ts'
import { perDialect, queryCompiler, type Params } from '../query.ts'
import type { StoreParts } from '../store-parts.ts'

/** A table whose rows refer to artifacts. */
type Referring = 'run_artifacts' | 'cache_artifacts'

/** Answers which of some artifacts are referred to in a table: one query, which stops at the first reference to each. */
export function referredAmong(
  { dialect, executor }: StoreParts,
  table: Referring,
): (artifacts: readonly ContentId[]) => Promise<readonly ContentId[]> {
  const query = referredQueries(dialect)[table]
  return async (artifacts) => {
    checkContentIds(artifacts, 1)
    const records = await executor.all(query, { artifacts: dialect.list(artifacts) })
    const referred = new Set<string>(records.map(({ value }) => value))
    return artifacts.filter((id) => referred.has(id))
  }
}

const referredQueries = perDialect((dialect) => ({
  run_artifacts: referredQuery(dialect, 'run_artifacts'),
  cache_artifacts: referredQuery(dialect, 'cache_artifacts'),
}))

function referredQuery(dialect: SqlDialect, table: Referring) {
  return queryCompiler(dialect).read((p: Params<{ readonly artifacts: unknown }>) =>
    dialect.db
      .selectFrom(dialect.rows(p.bare('artifacts')))
      .select('given.value')
      .where((given) =>
        given.exists(
          given.selectFrom(table).select(`${table}.artifact`).whereRef(`${table}.artifact`, '=', 'given.value'),
        ),
      ),
  )
}
