// A program that tests start as a process: streams an artifact into a SQLite store, reads it back, and tells the memory it took.
import { sqliteStore } from '../sqlite-store.ts'

const [file = '', mebibytes = '0'] = process.argv.slice(2)
const MIB = 1024 * 1024
let highest = 0

/** Memory of the whole process: buffers of the driver are in no heap of JavaScript. */
function measure(): number {
  highest = Math.max(highest, process.memoryUsage.rss())
  return highest
}

async function* chunks(): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(256 * 1024)
  for (let n = 0; n < Number(mebibytes) * 4; n++) {
    buffer.fill(n % 251)
    new DataView(buffer.buffer).setUint32(0, n)
    yield buffer
    measure()
  }
}

const store = await sqliteStore({ path: file }, { synchronous: 'NORMAL' })
await store.artifacts.put(new Uint8Array(2 * MIB))
const before = measure()
const id = await store.artifacts.put(chunks())
// A second time: what is staged is compared with what is there.
await store.artifacts.put(chunks())
let read = 0
for await (const chunk of (await store.artifacts.get(id)).stream()) {
  read += chunk.byteLength
  // What was read and let go is garbage that the collector is in no hurry to take away.
  if (read % (8 * MIB) === 0) globalThis.gc?.()
  measure()
}
await store[Symbol.asyncDispose]()
process.stdout.write(JSON.stringify({ read: read / MIB, extra: (highest - before) / MIB }))
