import { spawnWorker, type ProcessEnd, type WorkerProcess } from '../testing/spawn-worker.ts'
import type { WorkerTask } from '../testing/worker-process.ts'

/** A place in the fleet, and whoever has it now. */
interface Berth {
  worker: WorkerProcess
  isReady: boolean
  isPaused: boolean
}

/** Processes with workers; one that ends is followed by another, until the fleet is sent home. */
export class Fleet {
  readonly #task: WorkerTask
  readonly #berths: Berth[] = []
  readonly #replacing = new Set<Promise<void>>()
  /** Ends that nobody has asked for. */
  readonly accidents: string[] = []

  constructor(task: WorkerTask, size: number) {
    this.#task = task
    for (let i = 0; i < size; i++) this.#berths.push(this.#launch())
  }

  /** Those to which something can be done. */
  get #able(): Berth[] {
    return this.#berths.filter(({ isReady, isPaused }) => isReady && !isPaused)
  }

  /** @returns false when there is nobody to kill. */
  kill(pick: number): boolean {
    return this.#end(pick, 'SIGKILL', ({ signal }) => signal === 'SIGKILL')
  }

  /** Asks one to stop, which it does by itself. */
  terminate(pick: number): boolean {
    return this.#end(pick, 'SIGTERM', ({ code }) => code === 0)
  }

  /** Stops one for a while, in the midst of whatever it does. */
  pause(pick: number, ms: number): boolean {
    const berth = this.#chosen(pick)
    if (berth === undefined) return false
    berth.isPaused = true
    berth.worker.kill('SIGSTOP')
    const replacing = new Promise<void>((resolve) => {
      setTimeout(() => {
        berth.worker.kill('SIGCONT')
        berth.isPaused = false
        resolve()
      }, ms)
    })
    this.#track(replacing)
    return true
  }

  /** Resolves when everybody is there, and works. */
  async settled(): Promise<void> {
    while (this.#replacing.size > 0) await Promise.all(this.#replacing)
  }

  /** Stops all workers; resolves when their processes have ended, by themselves. */
  async goHome(): Promise<void> {
    await this.settled()
    for (const { worker } of this.#berths) worker.kill('SIGTERM')
    for (const { worker } of this.#berths) this.#note('going home', await worker.ended, ({ code }) => code === 0)
  }

  /** For the end of a test, however it came. */
  async sink(): Promise<void> {
    for (const { worker } of this.#berths) worker.kill('SIGKILL')
    await Promise.all([...this.#replacing, ...this.#berths.map(({ worker }) => worker.ended)])
  }

  #chosen(pick: number): Berth | undefined {
    const able = this.#able
    return able[Math.floor(pick * able.length)]
  }

  #end(pick: number, signal: NodeJS.Signals, isExpected: (end: ProcessEnd) => boolean): boolean {
    const berth = this.#chosen(pick)
    if (berth === undefined) return false
    const { worker } = berth
    berth.isReady = false
    worker.kill(signal)
    this.#track(
      worker.ended.then((end) => {
        this.#note(signal, end, isExpected)
        this.#occupy(berth)
      }),
    )
    return true
  }

  #launch(): Berth {
    const berth: Berth = { worker: spawnWorker(this.#task), isReady: false, isPaused: false }
    this.#follow(berth)
    return berth
  }

  #occupy(berth: Berth): void {
    berth.worker = spawnWorker(this.#task)
    this.#follow(berth)
  }

  /** One that cannot begin is followed by another: its store may be away for a moment. */
  #follow(berth: Berth): void {
    const { worker } = berth
    this.#track(
      worker.said('ready').then((owner) => {
        if (owner !== undefined) berth.isReady = true
        else if (berth.worker === worker) this.#occupy(berth)
      }),
    )
    void worker.ended.then((end) => {
      if (berth.isReady && berth.worker === worker) this.#note('nothing', end, ({ code }) => code === 0)
    })
  }

  #note(asked: string, end: ProcessEnd, isExpected: (end: ProcessEnd) => boolean): void {
    if (!isExpected(end)) this.accidents.push(`${asked}: code ${end.code}, signal ${end.signal}\n${end.error}`)
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#replacing.delete(tracked))
    this.#replacing.add(tracked)
  }
}
