import { defineConfig } from 'vitest/config'
import shared from '../../vitest.config.ts'

/** What is played through pgbouncer, which not every machine has: outside of `npm test`. */
export default defineConfig({
  resolve: shared.resolve ?? {},
  ssr: shared.ssr ?? {},
  test: {
    root: '.',
    env: shared.test?.env ?? {},
    include: ['packages/*/src/**/*.pgbouncer.ts'],
    globalSetup: ['./test/pgbouncer/global-setup.ts'],
  },
})
