// To prove that workflows survive crashes.
export { crashMatrix } from './crash-matrix.ts'
export type { CrashMatrixOptions, CrashReport } from './crash-matrix.ts'
export type { CrashScenario, EndedRun, Ending, Probe, Scene } from './matrix/scenario.ts'
export { isTestingError, TestingError } from './errors.ts'
export type { CrashFailure, TestingErrorCode } from './errors.ts'

// To build tests of one's own.
export { virtualClock } from './virtual-clock.ts'
export type { VirtualClock } from './virtual-clock.ts'
export { faultyStore } from './faulty-store.ts'
export type { StoreFault } from './faulty-store.ts'
export { interceptStore } from './wrapped-store.ts'
export type { Interceptor, StoreCall, StoreCallName } from './wrapped-store.ts'
export { simulatedProcess } from './simulated-process.ts'
export type { SimulatedProcess } from './simulated-process.ts'
export { SimulatedCrash } from './boundaries.ts'
export type { BoundaryName, ProcessFaults } from './boundaries.ts'
