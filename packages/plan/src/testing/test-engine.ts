import { memoryStore } from '@varve/store-memory'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'

/** A build of which nothing is known. */
export const noBuild = { gitCommit: null, lockfileHash: null, nodeVersion: null, platform: null } as const

/** An engine on a store of its own, unless it is given one, that looks at nothing around it. */
export function testEngine(options: Partial<EngineOptions> = {}): Engine {
  return createEngine({ store: memoryStore(), provenance: noBuild, environment: {}, ...options })
}
