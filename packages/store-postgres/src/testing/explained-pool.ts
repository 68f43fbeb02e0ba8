import pg from 'pg'
import type { PostgresPool } from '../pool.ts'

/** Plans of queries, and how they are had: `analyze` also executes a query and takes that back, and waits for what is locked. */
export interface Plans {
  readonly lines: string[]
  readonly command: 'explain' | 'explain (analyze)'
}

/** A pool on which every query of runs, logs and inboxes tells how it is executed with its values, before it is. */
export function explained(pool: pg.Pool, schema: string, plans: Plans): PostgresPool {
  const explain = { pool, command: plans.command }
  return {
    connect: async () => {
      const client = await pool.connect()
      return {
        query: async ({ text, values, types }) => {
          if (/^(with|select|insert|update|delete) .*"(runs|events|posts)"|^select (\* from )?"/s.test(text)) {
            plans.lines.push(...(await planOfCall(explain, schema, text, values)))
          }
          return client.query({ text, values, types } as never)
        },
        on: client.on.bind(client),
        removeListener: client.removeListener.bind(client),
        release: (destroy) => client.release(destroy),
      }
    },
  }
}

interface Explain {
  readonly pool: pg.Pool
  readonly command: Plans['command']
}

/** How a statement is executed with these values. */
async function planOf(
  { pool, command }: Explain,
  text: string,
  values: unknown[],
  before = '',
): Promise<readonly string[]> {
  const other = await pool.connect()
  try {
    await other.query(`begin; ${before}`)
    const { rows } = await other.query<{ 'QUERY PLAN': string }>(`${command} ${text}`, values)
    return rows.map((row) => row['QUERY PLAN'])
  } finally {
    await other.query('rollback; deallocate all')
    other.release()
  }
}

/** For the call of a stored statement, how that is executed, by the plan that serves for all values. */
async function planOfCall(
  explain: Explain,
  schema: string,
  text: string,
  values: unknown[],
): Promise<readonly string[]> {
  const called = /^select (?:\* from )?"\w+"\."(\w+)"/.exec(text)?.[1]
  const found = 'select prosrc, proconfig from pg_proc where proname = $1 and pronamespace = $2::regnamespace'
  const { rows } = await explain.pool.query<{ prosrc: string; proconfig: string[] }>(found, [called, schema])
  const [stored] = rows
  if (stored === undefined) return planOf(explain, text, values)
  const statement = /(?:return query |begin\n {2}(?!return query|perform))(.*?)(?: into result)?;\n/s.exec(
    stored.prosrc,
  )?.[1]
  const settings = stored.proconfig.map((setting) => `set local ${setting.replace('=', ' to ')};`).join(' ')
  const given = values.length === 0 ? '' : `(${values.map(literal).join(', ')})`
  return planOf(explain, `execute explained${given}`, [], `${settings} prepare explained as ${statement}`)
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `'{${value.map((item) => JSON.stringify(item)).join(',')}}'`
  return typeof value === 'string' ? pg.escapeLiteral(value) : JSON.stringify(value)
}
