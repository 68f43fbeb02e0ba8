import * as childProcess from 'node:child_process'
import * as nodeCrypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import * as nodeProcess from 'node:process'
import * as timers from 'node:timers'
import * as timersPromises from 'node:timers/promises'
import * as workerThreads from 'node:worker_threads'
import { trapOf, trapState, type Callable, type Trapped, type TrappedKind } from './trap.ts'

/** Properties of one object that are trapped. */
interface Site {
  readonly kind: TrappedKind
  /** Where the names are found in code: `Math.`; empty for globals. */
  readonly prefix: string
  /** Asked each time: whoever fakes the clock in a test replaces whole objects. */
  readonly holder: () => object
  readonly names: readonly string[]
}

/** In this order: what a trap holds, such as `Date.now`, is trapped after it. */
const GLOBALS: readonly Site[] = [
  { kind: 'clock', prefix: '', holder: () => globalThis, names: ['Date'] },
  { kind: 'clock', prefix: 'Date.', holder: () => Date, names: ['now'] },
  { kind: 'clock', prefix: 'performance.', holder: () => performance, names: ['now'] },
  { kind: 'clock', prefix: 'process.', holder: () => process, names: ['hrtime', 'uptime'] },
  { kind: 'clock', prefix: 'process.hrtime.', holder: () => process.hrtime, names: ['bigint'] },
  { kind: 'randomness', prefix: 'Math.', holder: () => Math, names: ['random'] },
  { kind: 'randomness', prefix: 'crypto.', holder: () => crypto, names: ['randomUUID', 'getRandomValues'] },
  {
    ...{ kind: 'timer', prefix: '', holder: () => globalThis },
    names: ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
  },
  { kind: 'network', prefix: '', holder: () => globalThis, names: ['fetch'] },
]

/** A module of Node with what is trapped in it. */
interface ModuleSite extends Omit<Site, 'holder'> {
  /** The module as its named imports see it. */
  readonly namespace: object
}

const RANDOM = ['randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID', 'randomUUIDv7']

const OTHER_NAMES_OF_RANDOM = ['pseudoRandomBytes', 'prng', 'rng']

const RANDOM_KEYS = ['generateKey', 'generateKeyPair', 'generatePrime'].flatMap((name) => [name, `${name}Sync`])

/** `crypto.getRandomValues` and `perf_hooks.performance` are the globals, which their modules look up. */
const MODULES: readonly ModuleSite[] = [
  { kind: 'clock', prefix: 'process.', namespace: nodeProcess, names: ['hrtime', 'uptime'] },
  {
    ...{ kind: 'randomness', prefix: 'crypto.', namespace: nodeCrypto },
    names: [...RANDOM, ...OTHER_NAMES_OF_RANDOM, ...RANDOM_KEYS],
  },
  { kind: 'timer', prefix: 'timers.', namespace: timers, names: ['setTimeout', 'setInterval', 'setImmediate'] },
  {
    ...{ kind: 'timer', prefix: 'timers/promises.', namespace: timersPromises },
    names: ['setTimeout', 'setInterval', 'setImmediate'],
  },
  {
    ...{ kind: 'process', prefix: 'child_process.', namespace: childProcess },
    names: ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork'],
  },
  { kind: 'process', prefix: 'worker_threads.', namespace: workerThreads, names: ['Worker'] },
]

/** What no test tool replaces, and is not looked at again. */
const UNREPLACED: readonly Site[] = [
  {
    ...{ kind: 'timer', prefix: 'timers/promises.scheduler.', names: ['wait', 'yield'] },
    holder: () => timersPromises.scheduler,
  },
  { kind: 'timer', prefix: 'AbortSignal.', holder: () => AbortSignal, names: ['timeout'] },
]

/**
 * Puts a trap in the place of everything that a pure function may not use, once per process. Traps stay: they do nothing
 * while no pure function runs, and somebody may have wrapped them since.
 */
export function installTraps(): void {
  renewTraps()
  for (const site of UNREPLACED) for (const name of site.names) renew(site, name)
  installInModules()
}

let modulesDone = false

/**
 * Named imports get a trap over what they have, and not over what a test may have put into the module for a while: they
 * would be left with it.
 */
function installInModules(): void {
  if (modulesDone) return
  modulesDone = true
  const replaced: (() => void)[] = []
  for (const { namespace, names, ...site } of MODULES) {
    const exported = Reflect.get(namespace, 'default') as object
    for (const name of names) {
      const trapped = { kind: site.kind, name: `${site.prefix}${name}` }
      const imported: unknown = Reflect.get(namespace, name) ?? Reflect.get(exported, name)
      const current: unknown = Reflect.get(exported, name)
      if (typeof imported !== 'function' || typeof current !== 'function') continue
      replace(exported, name, trapOf(imported as Callable, trapped))
      if (imported !== current) replaced.push(() => replace(exported, name, trapOf(current as Callable, trapped)))
    }
  }
  syncBuiltinESMExports()
  for (const putBack of replaced) putBack()
}

/** What test tools replace, as it stood when it was trapped last. Spelled out, because it is read before every pure call. */
const seen: Record<string, unknown> = {}

function isAsSeen(): boolean {
  // The global is a getter, which takes longer than all the rest.
  const webCrypto = crypto
  return (
    globalThis.Date === seen['Date'] &&
    Date.now === seen['Date.now'] &&
    Math.random === seen['Math.random'] &&
    globalThis.setTimeout === seen['setTimeout'] &&
    globalThis.setInterval === seen['setInterval'] &&
    globalThis.setImmediate === seen['setImmediate'] &&
    globalThis.queueMicrotask === seen['queueMicrotask'] &&
    globalThis.fetch === seen['fetch'] &&
    process.hrtime === seen['process.hrtime'] &&
    process.hrtime.bigint === seen['process.hrtime.bigint'] &&
    process.uptime === seen['process.uptime'] &&
    performance.now === seen['performance.now'] &&
    webCrypto.randomUUID === seen['crypto.randomUUID'] &&
    webCrypto.getRandomValues === seen['crypto.getRandomValues']
  )
}

/** Traps anew what somebody has replaced: fake timers and stubs come and go between two calls. */
export function renewTraps(): void {
  if (isAsSeen()) return
  for (const site of GLOBALS) for (const name of site.names) seen[`${site.prefix}${name}`] = renew(site, name)
}

/** @returns what stands there now. */
function renew({ kind, prefix, holder }: Site, name: string): unknown {
  const current: unknown = Reflect.get(holder(), name)
  if (typeof current !== 'function' || trapState().traps.get(current) === current) return current
  const trap = trapOf(current as Callable, trappedGlobal(kind, `${prefix}${name}`))
  replace(ownerOf(holder(), name), name, trap)
  return Reflect.get(holder(), name)
}

function trappedGlobal(kind: TrappedKind, name: string): Trapped {
  if (name !== 'Date') return { kind, name }
  return { kind, name, isPure: (args, constructed) => constructed && args.length > 0 }
}

/** The object in the chain of prototypes that has the property. */
function ownerOf(holder: object, name: string): object {
  let owner: object | null = holder
  while (owner !== null && !Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner) as object | null
  return owner ?? holder
}

/** What cannot be replaced, as after `Object.freeze`, stays. */
function replace(owner: object, name: string, value: Callable): void {
  const property = Object.getOwnPropertyDescriptor(owner, name)
  if (property?.configurable === true) {
    Object.defineProperty(owner, name, {
      configurable: true,
      enumerable: property.enumerable === true,
      writable: true,
      value,
    })
  } else Reflect.set(owner, name, value)
}
