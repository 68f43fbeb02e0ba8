import { checkId, checkList, checkOneOf, checkOptions, defaultLimits, isFrom, shown, type NamesOf } from '@varve/store'
import { systemClock, type Clock } from '../clock.ts'
import { repeatable } from '../driver/append.ts'
import { breathing } from '../driver/breath.ts'
import type { Environment } from '../driver/environment.ts'
import { observation } from '../driver/observer.ts'
import { inDefinition, KernelError } from '../errors.ts'
import { createGuard } from '../guard/guard.ts'
import { randomIds } from '../ids.ts'
import { checkNames } from '../known-names.ts'
import { processOwner } from '../owner.ts'
import { networkErrors } from '../policy/network-errors.ts'
import { checkPolicy } from '../policy/policy.ts'
import { secretsSetup, type SecretsOptions } from '../secrets/options.ts'
import { storeClock } from '../store-clock.ts'
import { checkedLimits } from './checked-limits.ts'
import type { KernelOptions } from './options.ts'
import type { Registry } from './registry.ts'
import { tellWarnings } from './tell-warnings.ts'

const DEFAULT_LEASE_MS = 30_000

const DEFAULT_MAX_RECOVERIES = 10

/** Nobody but the caller waits for a run that a verb drives: it may keep its lease over a short sleep. */
const HOLD_MS = 5000

const STORE = { object: ['capabilities', 'events', 'runs', 'inbox'], function: ['now'] }

const ARTIFACTS = { object: [], function: ['put', 'get'] }

const CLOCK = { object: [], function: ['now', 'monotonic', 'schedule'] }

const OF_KERNEL: NamesOf<KernelOptions> = {
  ...{ store: true, artifacts: true, workflows: true, policy: true, leaseMs: true, onDrift: true, guard: true },
  ...{ limits: true, secrets: true, onCommitted: true, observer: true, onWarning: true, build: true, clock: true },
  ...{ maxRecoveries: true, newId: true, owner: true },
}

const OF_SECRETS: NamesOf<SecretsOptions> = {
  ...{ keys: true, resolve: true, randomBytes: true },
}

/** @throws KernelError `INVALID_DEFINITION` for what a kernel cannot even be begun with. */
export function checkSurroundings(options: KernelOptions): void {
  inDefinition(() => {
    checkOptions('the options of createKernel', options)
    checkList('workflows', options.workflows)
  })
  checkNames('createKernel', options, OF_KERNEL)
  checkPort('store must be a store, as memoryStore() makes one', options.store, STORE)
  if (options.clock !== undefined) checkPort('clock must be a clock, as systemClock is one', options.clock, CLOCK)
}

function checkPort(what: string, port: unknown, members: typeof STORE | typeof CLOCK): void {
  const given = typeof port === 'object' && port !== null ? (port as Readonly<Record<string, unknown>>) : {}
  const isWhole = (['object', 'function'] as const).every((kind) =>
    members[kind].every((name) => typeof given[name] === kind && given[name] !== null),
  )
  // A text may be an address, and that may hold a password.
  const got = typeof port === 'string' ? 'a text' : shown(port)
  if (!isWhole) throw new KernelError('INVALID_DEFINITION', `${what}, got ${got}`)
}

/**
 * What all drives of a kernel share, but for what leads back to the drives.
 *
 * @throws KernelError `INVALID_DEFINITION`.
 */
export function environmentOf(
  options: KernelOptions,
  registry: Registry,
): Omit<Environment, 'moved' | 'moving' | 'trailing'> {
  const { leaseMs = DEFAULT_LEASE_MS, maxRecoveries = DEFAULT_MAX_RECOVERIES } = options
  const { build, onCommitted, onWarning, onDrift = 'stop', guard = 'throw', policy = networkErrors } = options
  checkKinds(options)
  checkWhole('leaseMs', leaseMs, 100)
  checkWhole('maxRecoveries', maxRecoveries, 0)
  inDefinition(() => {
    checkOneOf('onDrift', onDrift, ['stop', 'warn'])
    checkOneOf('guard', guard, ['throw', 'warn', 'off'])
  })
  checkPolicy(policy)
  const machine = options.clock ?? systemClock
  const warn = tellWarnings(onWarning)
  return {
    store: options.store,
    artifacts: options.artifacts ?? options.store.artifacts,
    clock: storeClock(machine, () => repeatable({ clock: machine }, () => options.store.now())),
    breathe: breathing(machine),
    owner: options.owner ?? processOwner(),
    policy,
    limits: checkedLimits({ ...defaultLimits, ...options.limits }),
    leaseMs,
    holdMs: HOLD_MS,
    secrets: secretsSetup(options.secrets),
    onDrift,
    observe: observation(options.observer ?? {}, machine, warn),
    guard: createGuard(guard, warn),
    buildOf: (definition) => build ?? definition.build,
    definitionOf: registry.definitionOf,
    definitionFor: registry.definitionFor,
    newId: idsOf(options, machine),
    maxRecoveries,
    warn,
    committed: (runId, events) => {
      try {
        onCommitted?.(runId, events)
      } catch (error) {
        // The events are durable; a listener that fails must not undo or repeat anything.
        warn(error as Error)
      }
    },
  }
}

/** What is of another kind would be missed by the first run that needs it. */
function checkKinds({ observer, secrets, limits, artifacts, onCommitted, onWarning, build }: KernelOptions): void {
  inDefinition(() => {
    for (const [name, part] of Object.entries({ observer, secrets, limits, artifacts })) {
      if (part !== undefined) checkOptions(name, part)
    }
  })
  if (secrets !== undefined) checkNames('secrets of createKernel', secrets, OF_SECRETS)
  if (artifacts !== undefined) checkPort('artifacts must be a store of artifacts', artifacts, ARTIFACTS)
  for (const [name, part] of Object.entries({ onCommitted, onWarning })) {
    if (part === undefined || typeof part === 'function') continue
    throw new KernelError('INVALID_DEFINITION', `${name} must be a function, got ${shown(part)}`)
  }
  if (build === undefined || typeof build === 'string') return
  throw new KernelError('INVALID_DEFINITION', `build must be a text, got ${shown(build)}`)
}

function checkWhole(name: string, value: unknown, least: number): void {
  if (Number.isSafeInteger(value) && isFrom(least, value)) return
  throw new KernelError('INVALID_DEFINITION', `${name} must be a whole number from ${least}, got ${shown(value)}`)
}

/** What a generator of one's own makes reaches the log, which holds texts. */
function idsOf({ newId }: KernelOptions, machine: Clock): () => string {
  if (newId === undefined) return randomIds(machine.now)
  if (typeof newId !== 'function') {
    throw new KernelError('INVALID_DEFINITION', `newId must be a function, got ${shown(newId)}`)
  }
  return () => {
    const id = newId()
    inDefinition(() => {
      checkId('what newId answers', id)
    })
    return id
  }
}
