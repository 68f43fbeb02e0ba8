// A program that tests start as a process: streams an artifact into a schema, reads it back, and tells the memory it took.
import { postgresStore } from '../postgres-store.ts'

const [url = '', schema = '', mebibytes = '0'] = process.argv.slice(2)
const MIB = 1024 * 1024
let highest = 0

/** Called often: what was let go is garbage that the collector is in no hurry to take away. */
function measure(): number {
  globalThis.gc?.()
  highest = Math.max(highest, process.memoryUsage.rss())
  return highest
}

async function* chunks(): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(256 * 1024)
  for (let n = 0; n < Number(mebibytes) * 4; n++) {
    buffer.fill(n % 251)
    new DataView(buffer.buffer).setUint32(0, n)
    yield buffer
    if (n % 16 === 0) measure()
  }
}

const store = await postgresStore({ url, poolSize: 1 }, { schema })
await (await store.artifacts.get(await store.artifacts.put(new Uint8Array(2 * MIB)))).bytes()
const before = measure()
const id = await store.artifacts.put(chunks())
let read = 0
for await (const chunk of (await store.artifacts.get(id)).stream()) {
  read += chunk.byteLength
  if (read % (4 * MIB) === 0) measure()
}
await store[Symbol.asyncDispose]()
process.stdout.write(JSON.stringify({ read: read / MIB, extra: (highest - before) / MIB }))
