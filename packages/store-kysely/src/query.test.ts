import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import type { SqlDialect } from './dialect.ts'
import { postgresDialect } from './postgres/postgres-dialect.ts'
import { boundValues, queryCompiler, type Params } from './query.ts'
import { sqliteDialect } from './sqlite/sqlite-dialect.ts'

interface Args {
  readonly runId: string
  readonly seq: number
}

function sample({ db }: SqlDialect) {
  return (p: Params<Args>) =>
    db
      .selectFrom('events')
      .select(['seq', 'type'])
      .where('run_id', '=', p.text('runId'))
      .where((where) => where.or([where('seq', '=', p.int('seq')), where('v', '=', p.int('seq'))]))
      .where('type', '=', 'Sampled')
}

describe('a compiled query', () => {
  test('binds parameters by name and constants as they are, in the order of the placeholders', () => {
    const dialect = sqliteDialect()
    const query = queryCompiler(dialect).read(sample(dialect))

    expect(query.sql.match(/\?/g)).toHaveLength(4)
    expect(boundValues(query, { runId: 'run-1', seq: 7 })).toEqual(['run-1', 7, 7, 'Sampled'])
  })

  test('sends a parameter that stands in several places once, where placeholders have numbers', () => {
    const dialect = postgresDialect('varve')
    const query = queryCompiler(dialect).read(sample(dialect))

    expect(query.sql).toContain('"seq" = cast($2 as bigint) or "v" = cast($2 as bigint)')
    expect(boundValues(query, { runId: 'run-1', seq: 7 })).toEqual(['run-1', 7, 'Sampled'])
  })

  test('shares ten and more placeholders without mixing up $1 and $10', () => {
    const dialect = postgresDialect('varve')
    const names = Array.from({ length: 12 }, (_, i) => `p${i}`)
    const query = queryCompiler(dialect).read((p: Params<Record<string, number>>) => {
      const all = sql.join([...names, ...names].map((name) => p.int(name)))
      return dialect.db.selectNoFrom(sql<number>`array[${all}]`.as('all'))
    })

    const placeholders = [...query.sql.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number))

    expect(placeholders).toEqual([...names, ...names].map((name) => names.indexOf(name) + 1))
    expect(query.bindings).toHaveLength(12)
  })
})
