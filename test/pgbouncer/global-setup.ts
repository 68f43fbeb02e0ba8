import type { TestProject } from 'vitest/node'
import { startPostgres } from '../postgres/server.ts'
import { startPgbouncer } from './pgbouncer.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The server behind pgbouncer, reached directly. */
    readonly directUrl: string
  }
}

/** Provides `pgUrl`, which goes through pgbouncer in transaction mode, and `directUrl`. */
export default async function provideServers(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres()
  const pooler = await startPgbouncer(server.url)
  project.provide('pgUrl', pooler.url)
  project.provide('directUrl', server.url)
  return async () => {
    await pooler.stop()
    await server.stop()
  }
}
