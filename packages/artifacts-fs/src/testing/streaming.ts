// A process that streams one artifact in and out again, and prints how many bytes of memory that took at most.
//
// Its arguments are the folder and the number of MiB.
import { fileArtifacts } from '../file-artifacts.ts'

const [, , folder = '', mebibytes] = process.argv
const artifacts = fileArtifacts({ folder })
const buffer = Buffer.alloc(256 * 1024)
let most = 0

function look(): void {
  most = Math.max(most, process.memoryUsage.rss())
}

async function* chunksOf(count: number): AsyncGenerator<Uint8Array> {
  for (let chunk = 0; chunk < count * 4; chunk++) {
    buffer.fill(chunk % 251)
    buffer.writeUInt32LE(chunk)
    look()
    yield buffer
  }
}

async function inAndOut(count: number): Promise<number> {
  let size = 0
  const artifact = await artifacts.get(await artifacts.put(chunksOf(count)))
  for await (const chunk of artifact.stream()) {
    look()
    size += chunk.byteLength
  }
  return size
}

// Everything is loaded and compiled before it counts.
await inAndOut(4)
const before = process.memoryUsage.rss()
most = before
const size = await inAndOut(Number(mebibytes))
console.log(JSON.stringify({ size, memory: most - before }))
