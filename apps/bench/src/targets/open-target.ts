import { memoryTarget } from './memory-target.ts'
import { postgresTarget } from './postgres-target.ts'
import { sqliteTarget } from './sqlite-target.ts'
import type { Target, TargetName } from './target.ts'

/** Opens what is to be measured. */
export async function openTarget(name: TargetName): Promise<Target> {
  switch (name) {
    case 'memory':
      return memoryTarget()
    case 'sqlite-full':
      return sqliteTarget('FULL')
    case 'sqlite-normal':
      return sqliteTarget('NORMAL')
    case 'postgres':
      return postgresTarget()
  }
}
