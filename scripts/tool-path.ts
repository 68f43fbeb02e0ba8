import path from 'node:path'

const root = path.join(import.meta.dirname, '..')

/** PATH with this repository's tools first: those that run.mjs fetched, then those of node_modules. */
export const toolPath = [
  path.dirname(process.execPath),
  path.join(root, '.tools', 'node_modules', '.bin'),
  path.join(root, 'node_modules', '.bin'),
  process.env['PATH'] ?? '',
].join(path.delimiter)
