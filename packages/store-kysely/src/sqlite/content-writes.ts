import { sql } from 'kysely'
import {
  artifactQueries,
  naming,
  type ArtifactQueries,
  type NamedRecord,
  type PutArgs,
} from '../artifacts/artifact-queries.ts'
import { keepingEntry, type EntryArgs } from '../cache/cache-queries.ts'
import type { SqlDialect } from '../dialect.ts'
import { get, run, type SqlExecutor, type Steps } from '../executor.ts'
import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import type { KeptEntry, SqlWrites } from '../writes.ts'

/** The writes of artifacts and of the cache: small statements in one transaction. */
export function contentWrites(
  dialect: SqlDialect,
  executor: SqlExecutor,
): Pick<SqlWrites, 'putArtifact' | 'keepEntry'> {
  const queries = contentQueries(dialect)
  return {
    putArtifact: (args) => executor.transaction('write', () => putArtifact(queries, args)),
    keepEntry: (args, artifacts) => executor.transaction('write', () => keepEntry(queries, args, artifacts)),
  }
}

function* putArtifact(queries: ContentQueries, args: PutArgs): Steps<boolean> {
  const named = yield* get(queries.name, args)
  if (named?.upload !== args.upload) return (yield* get(queries.same, args))?.same === 1
  yield* run(queries.keep, args)
  return true
}

function* keepEntry(
  queries: ContentQueries,
  args: EntryArgs,
  artifacts: readonly string[],
): Steps<KeptEntry | undefined> {
  const kept = yield* get(queries.keepEntry, args)
  if (kept === undefined) return undefined
  for (const artifact of artifacts) yield* run(queries.refer, { key: args.key, artifact })
  return kept
}

interface ContentQueries {
  readonly name: Query<PutArgs, NamedRecord>
  readonly keep: Query<PutArgs, unknown>
  readonly same: ArtifactQueries['same']
  readonly keepEntry: Query<EntryArgs, KeptEntry>
  readonly refer: Query<{ readonly key: string; readonly artifact: string }, unknown>
}

const contentQueries = perDialect((dialect): ContentQueries => {
  const { db } = dialect
  const { write } = queryCompiler(dialect)
  return {
    name: write((p: Params<PutArgs>) => naming(db, p)),
    keep: write((p: Params<PutArgs>) =>
      db
        .insertInto('artifact_chunks')
        .values({ upload: p.text('upload'), number: sql.lit(0), bytes: p.bytes('bytes') }),
    ),
    same: artifactQueries(dialect).same,
    keepEntry: write((p: Params<EntryArgs>) => keepingEntry(db, p)),
    refer: write((p: Params<{ readonly key: string; readonly artifact: string }>) =>
      db.insertInto('cache_artifacts').values({ artifact: p.text('artifact'), key: p.text('key') }),
    ),
  }
})
