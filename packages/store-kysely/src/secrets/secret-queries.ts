import { perDialect, queryCompiler, type Params, type Query } from '../query.ts'
import type { SecretsTable } from '../schema.ts'

interface SecretArgs {
  readonly id: string
}

interface PutArgs extends SecretArgs {
  readonly sealed: Uint8Array
}

/** The queries on sealed values. */
export interface SecretQueries {
  readonly put: Query<PutArgs, unknown>
  readonly get: Query<SecretArgs, Pick<SecretsTable, 'sealed'>>
  readonly erase: Query<SecretArgs, unknown>
}

/** Compiles the queries of the secret store. */
export const secretQueries = perDialect((dialect): SecretQueries => {
  const { db } = dialect
  const { read, write } = queryCompiler(dialect)
  return {
    put: write((p: Params<PutArgs>) =>
      db
        .insertInto('secrets')
        .values({ id: p.text('id'), sealed: p.bytes('sealed') })
        .onConflict((conflict) => conflict.column('id').doNothing()),
    ),
    get: read((p: Params<SecretArgs>) => db.selectFrom('secrets').select('sealed').where('id', '=', p.text('id'))),
    erase: write((p: Params<SecretArgs>) =>
      db
        .insertInto('secrets')
        .values({ id: p.text('id'), sealed: null })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ sealed: null })),
    ),
  }
})
