import type { Debt } from '@varve/store'
import type { System } from '../run/system.ts'
import { payDebts } from './debts.ts'
import type { Environment } from './environment.ts'

/**
 * What a run owes others, as its drive knows it. A debt that cannot be paid for want of code is kept, and does not keep
 * the run from taking what comes in: that may be the order to give up what is owed.
 */
export class Ledger {
  #unpaid: readonly Debt[] = []
  /** True while the row names debts that are paid. */
  #isStale = false
  #problem: Error | undefined

  /** What the row has to say of the run's debts, with these added; undefined when it says so already. */
  owes(added: readonly Debt[] = []): readonly Debt[] | undefined {
    return this.#isStale || added.length > 0 ? [...this.#unpaid, ...added] : undefined
  }

  /** True when nothing is owed, and the row says so. */
  get isClear(): boolean {
    return this.#unpaid.length === 0 && !this.#isStale
  }

  /** Says that the row was told what {@link owes} answered. */
  told(): void {
    this.#isStale = false
  }

  /** Pays these, and once more tries what could not be paid. The row learns of it with the next append or the release. */
  pay(env: Environment, system: System, added: readonly Debt[]): Promise<void> | undefined {
    return this.#unpaid.length + added.length > 0 ? this.#pay(env, system, [...this.#unpaid, ...added]) : undefined
  }

  async #pay(env: Environment, system: System, due: readonly Debt[]): Promise<void> {
    const { unpaid, problem } = await payDebts(env, system, due)
    this.#isStale ||= unpaid.length < due.length
    this.#unpaid = unpaid
    this.#problem = problem
  }

  /** @throws KernelError why something is still owed: a run that rests with debts has to be parked. */
  check(): void {
    if (this.#problem !== undefined) throw this.#problem
  }
}
