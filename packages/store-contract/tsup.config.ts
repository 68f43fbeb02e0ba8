import type { Options } from 'tsup'
import { library } from '../../tsup.base.ts'

// race-child is a program of its own: cases start it as a process.
const options: Options = { ...library, entry: ['src/index.ts', 'src/race-child.ts'] }

export default options
