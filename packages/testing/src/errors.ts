import { CodedError, isCodedError } from '@varve/store'

/**
 * What can go wrong in a test with these tools.
 *
 * | code | meaning |
 * |---|---|
 * | `NOT_CRASH_PROOF` | something came out otherwise after a crash; `failures` says where and what |
 * | `INVALID_SCENARIO` | the scenario does not end, ends otherwise than it has to, or does not come to the same twice, even without a crash; or something that is given cannot be used: `only` names no boundary, `points` wants none, an option or a fault is misspelt |
 * | `PROCESS_HANGS` | a simulated process waits for something that is neither time nor a call of its store |
 */
export type TestingErrorCode = 'NOT_CRASH_PROOF' | 'INVALID_SCENARIO' | 'PROCESS_HANGS'

/** What came out otherwise in one case of a crash matrix. */
export interface CrashFailure {
  /** Where the process was struck: give it as `only` to repeat this case alone. */
  readonly crashes: string
  /** One sentence per promise that was broken. */
  readonly faults: readonly string[]
}

/** An error of these tools. Test it with {@link isTestingError}, not with `instanceof`. */
export class TestingError extends CodedError<TestingErrorCode> {
  /** With `NOT_CRASH_PROOF`: the cases that failed. */
  readonly failures: readonly CrashFailure[]

  constructor(code: TestingErrorCode, text: string, failures: readonly CrashFailure[] = []) {
    super('Testing', code, text)
    this.failures = failures
  }
}

/** True for a {@link TestingError} from whichever installed copy; with a code, for that code alone. */
export function isTestingError(error: unknown, code?: TestingErrorCode): error is TestingError {
  return isCodedError(error, 'Testing', code)
}
