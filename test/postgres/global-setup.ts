import type { TestProject } from 'vitest/node'
import { startPostgres } from './server.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A PostgreSQL server that all tests share: each keeps to a schema of its own. */
    readonly pgUrl: string
  }
}

/** Provides `pgUrl`: the server named by `TEST_POSTGRES_URL`, else one that lives as long as the test run. */
export default async function provideServer(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['TEST_POSTGRES_URL']
  if (given !== undefined && given !== '') {
    project.provide('pgUrl', given)
    return undefined
  }
  const server = await startPostgres()
  project.provide('pgUrl', server.url)
  return () => server.stop()
}
