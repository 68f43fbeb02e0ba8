// node --conditions=@varve/source packages/kernel/src/testing/write-golden.ts
// Writes the logs of this release that later ones have to verify for ever. A file that is there is never changed.
import { writeGolden } from './golden.ts'

await writeGolden()
