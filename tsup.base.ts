import type { Options } from 'tsup'

/** How every published package is built: one ES module with its types. */
export const library: Options = {
  entry: ['src/index.ts'],
  format: ['esm'],
  target: 'node22',
  platform: 'node',
  dts: true,
  sourcemap: true,
  clean: true,
}
