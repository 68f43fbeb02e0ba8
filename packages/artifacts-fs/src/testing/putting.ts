// A process that puts one artifact after the other until it is killed, and prints where it is.
//
// Its argument is the folder. It prints `chunk` for every chunk that it hands over, and `kept <id>` for each artifact.
import { writeSync } from 'node:fs'
import { fileArtifacts } from '../file-artifacts.ts'
import { CHUNKS, chunkOf } from './contents.ts'

const artifacts = fileArtifacts({ folder: process.argv[2] ?? '' })

async function* chunksOf(content: number): AsyncGenerator<Uint8Array> {
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    writeSync(1, 'chunk\n')
    yield chunkOf(content, chunk)
  }
}

for (let content = 0; ; content++) {
  const id = await artifacts.put(chunksOf(content), { mediaType: 'text/plain' })
  writeSync(1, `kept ${id}\n`)
}
