import { isStoreError, type StoreErrorCode } from '@varve/store'
import { AsyncLocalStorage } from 'node:async_hooks'
import { nextTick } from 'node:process'
import type { SqlWrites } from '../writes.ts'
import type { Answer, Answers, SharedAnswer, SharedCommits, SharedWrite } from './shared-write.ts'
import { WriteLine, type WaitingWrite } from './write-line.ts'

/**
 * A batch takes no more writes than this: the others would wait too long for its end. Nor more text, counted in UTF-16 code
 * units; a write that is longer by itself is made alone.
 */
const ROOM = { writes: 256, length: 4 * 1024 * 1024 }

/** So many writes are worth a batch of their own; fewer wait for a turn of the event loop, for others to join them. */
const WORTH_A_BATCH = 32

/** So many answers of a batch are told before a look at who writes again because of them. */
const TOLD_AT_ONCE = 8

/** Errors that are those of every write of a batch. After any other each is made again alone, to have its own. */
const OF_ALL: readonly StoreErrorCode[] = ['STORE_CLOSED', 'STORE_UNREACHABLE', 'STORE_BUSY', 'UNKNOWN_OUTCOME']

/**
 * Lets writes of different runs that are in flight together share a commit. Writes that come while as many batches as there
 * are lanes are under way wait for the next one, and so hold back who awaits them; a write that comes alone waits for nothing.
 */
export function groupCommit(writes: SqlWrites): SqlWrites {
  const { shared } = writes
  if (shared === undefined) return writes
  const group = new GroupCommit(writes, shared)
  return {
    ...writes,
    create: (creation) => group.make({ kind: 'create', creation }) as Promise<Answers['create']>,
    append: (addition) => group.make({ kind: 'append', addition }) as Promise<Answers['append']>,
    saveSnapshot: (snapshot) => group.make({ kind: 'snapshot', snapshot }) as Promise<Answers['snapshot']>,
    pruneSnapshots: (pruning) => group.make({ kind: 'prune', pruning }) as Promise<Answers['prune']>,
  }
}

/** A write that was asked for, and who waits for it. */
interface Member extends WaitingWrite {
  readonly write: SharedWrite
  readonly runId: string
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

class GroupCommit {
  readonly #writes: SqlWrites
  readonly #shared: SharedCommits
  readonly #line = new WriteLine<Member>()
  /** Lanes that are taken. */
  #lanes = 0
  /** Writes that have one for themselves, and may give it up before they are made. */
  readonly #lone = new Set<SharedWrite>()
  #patience: NodeJS.Timeout | undefined
  /** Writes that share commits which are under way. */
  #underWay = 0
  #gathering = false
  /** How many batches are being told their answers. */
  #telling = 0
  /** Batches that have left in this turn of the event loop while others were being told. */
  #early = 0
  /** The context in which the store was opened: a batch is of many runs, and begins the next one long after those have ended. */
  readonly #apart = AsyncLocalStorage.snapshot()
  /** The run of the last batch; empty when it was of several. */
  #lastRun: string | undefined

  constructor(writes: SqlWrites, shared: SharedCommits) {
    this.#writes = writes
    this.#shared = shared
  }

  /** @returns what the same write answers when it is made alone. */
  make(write: SharedWrite): Promise<Answer> {
    const length = lengthOf(write)
    if (length > ROOM.length || !this.#shared.accepts(write)) return alone(this.#writes, write)
    const runId = runOf(write)
    // What is done to snapshots changes no row that an append to their run needs.
    // No id has a line break.
    const key = isOfRun(write) ? runId : `${write.kind}\n${runId}`
    if (isOfRun(write) && this.#goesOnAlone(runId) && this.#line.pass(key)) return this.#makeAtOnce(write, key)
    return new Promise((resolve, reject) => {
      this.#line.add({ write, runId, key, length, resolve, reject })
      this.#gather()
    })
  }

  /** True where a run that wrote last writes again and nobody else does: nobody is waited for, nor is anybody made to wait. */
  #goesOnAlone(runId: string): boolean {
    return this.#lastRun === runId && this.#lanes === 0 && this.#line.size === 0
  }

  async #makeAtOnce(write: SharedWrite, key: string): Promise<Answer> {
    this.#enter(write)
    try {
      return await alone(this.#writes, write)
    } finally {
      this.#leave(write)
      this.#line.release(key)
      this.#gather()
    }
  }

  #enter(write: SharedWrite): void {
    this.#lanes += 1
    this.#lone.add(write)
  }

  #leave(write: SharedWrite): void {
    if (this.#lone.delete(write)) this.#lanes -= 1
  }

  /** Whoever waits for a row that somebody else has locked may wait for ever, and with all lanes taken so would everybody. */
  #leaveLater(): void {
    const { patienceMs } = this.#shared
    if (patienceMs === undefined || this.#lone.size === 0 || this.#patience !== undefined) return
    const slow = [...this.#lone]
    this.#patience = setTimeout(() => {
      this.#patience = undefined
      for (const write of slow) this.#leave(write)
      this.#gather()
    }, patienceMs)
  }

  /**
   * Those whose writes were answered together, or whose actions ended while a commit was under way, ask for their next writes
   * within one turn of the event loop, or sooner: see {@link #tell}. Where one run alone is writing, nobody is waited for; but what is done to snapshots, for
   * which nobody waits, shares the commit of what their run writes next.
   */
  #gather(): void {
    if (this.#gathering || this.#telling > 0 || this.#line.size === 0) return
    if (this.#lanes >= this.#shared.lanes) {
      this.#leaveLater()
      return
    }
    this.#gathering = true
    const begin = (): void => {
      this.#gathering = false
      this.#fillLanes()
    }
    const { size, first } = this.#line
    const goesOn = this.#lastRun === undefined || first?.runId === this.#lastRun
    const isLone = size === 1 && first !== undefined && isOfRun(first.write) && goesOn
    if (isLone) queueMicrotask(begin)
    else setImmediate(begin)
  }

  #fillLanes(): void {
    while (this.#lanes < this.#shared.lanes) {
      const batch = this.#line.take(ROOM)
      const [first, second] = batch
      if (first === undefined) return
      this.#lastRun = second === undefined ? first.runId : ''
      if (second === undefined) {
        this.#enter(first.write)
        void this.#makeAlone(first).finally(() => {
          this.#leave(first.write)
          this.#gather()
        })
        continue
      }
      void this.#apart(async () => this.#commit(batch))
    }
    this.#gather()
  }

  async #commit(batch: readonly Member[]): Promise<void> {
    this.#lanes += 1
    this.#underWay += batch.length
    const answers = await this.#answersOf(batch)
    const fairShare = Math.floor(this.#underWay / this.#shared.lanes)
    this.#underWay -= batch.length
    this.#lanes -= 1
    if (answers !== undefined) await this.#tell(batch, answers, fairShare)
    this.#gather()
  }

  /** Undefined when the batch has failed, and each of its writes has its own answer. */
  async #answersOf(batch: readonly Member[]): Promise<readonly SharedAnswer[] | undefined> {
    try {
      return await this.#shared.commit(batch.map(({ write }) => write))
    } catch (error) {
      if (isStoreError(error) && OF_ALL.includes(error.code)) {
        for (const member of batch) this.#settle(member, () => member.reject(error))
      } else for (const member of batch) await this.#patiently(this.#makeAlone(member))
      return undefined
    }
  }

  /**
   * Where there are several lanes the next batch leaves when a fair share of the writes under way has come back: the database
   * works at it while the others are told. Gathered by turns of the event loop, which takes in all answers that have arrived
   * before it gives the next turn, all lanes would leave together and come back together.
   */
  async #tell(batch: readonly Member[], answers: readonly SharedAnswer[], fairShare: number): Promise<void> {
    const isLarge = this.#shared.lanes > 1 && Math.min(batch.length, fairShare) >= WORTH_A_BATCH
    if (isLarge) this.#telling += 1
    for (const [place, member] of batch.entries()) {
      const answer = answers[place]
      // In no lane: the next batch must not wait for whoever has locked this one's run.
      if (answer === 'locked') void this.#makeAlone(member)
      else this.#settle(member, () => member.resolve(answer))
      if (isLarge && (place + 1) % TOLD_AT_ONCE === 0) await this.#heardOf(fairShare)
    }
    if (!isLarge) return
    await this.#heardOf(WORTH_A_BATCH)
    this.#telling -= 1
  }

  /** Lets whoever has an answer go on, and the next batch leave if it has so many writes. */
  async #heardOf(writes: number): Promise<void> {
    await new Promise(nextTick)
    // A database that answers without I/O would keep everybody else's from coming.
    if (this.#line.size < writes || this.#early >= this.#shared.lanes) return
    if (this.#early++ === 0) setImmediate(() => (this.#early = 0))
    this.#fillLanes()
  }

  /** Waits for a write, unless it waits for somebody else's lock. */
  async #patiently(made: Promise<void>): Promise<void> {
    const { patienceMs } = this.#shared
    if (patienceMs === undefined) return made
    const late = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => {
      late.resolve(undefined)
    }, patienceMs)
    await Promise.race([made, late.promise])
    clearTimeout(timer)
  }

  async #makeAlone(member: Member): Promise<void> {
    try {
      const answer = await alone(this.#writes, member.write)
      this.#settle(member, () => member.resolve(answer))
    } catch (error) {
      this.#settle(member, () => member.reject(error))
    }
  }

  #settle({ key }: Member, tell: () => void): void {
    this.#line.release(key)
    tell()
    this.#gather()
  }
}

function alone(writes: SqlWrites, write: SharedWrite): Promise<Answer> {
  switch (write.kind) {
    case 'create':
      return writes.create(write.creation)
    case 'append':
      return writes.append(write.addition)
    case 'snapshot':
      return writes.saveSnapshot(write.snapshot)
    case 'prune':
      return writes.pruneSnapshots(write.pruning)
  }
}

function runOf(write: SharedWrite): string {
  switch (write.kind) {
    case 'create':
      return write.creation.run.runId
    case 'append':
      return write.addition.run.runId
    case 'snapshot':
      return write.snapshot.runId
    case 'prune':
      return write.pruning.runId
  }
}

function isOfRun({ kind }: SharedWrite): boolean {
  return kind === 'create' || kind === 'append'
}

function lengthOf(write: SharedWrite): number {
  if (write.kind === 'snapshot') return write.snapshot.body.length
  if (write.kind === 'prune') return 0
  const { events } = write.kind === 'create' ? write.creation : write.addition
  let length = 0
  for (const { body } of events) length += body.length
  return length
}
