// A process that fights for one artifact: `put`, `touch` or `delete`, as its second argument says; the first is the folder.
//
// A line on its stdin is the time that its clock shows from then on. A `put` or a `touch` works once for each and then prints
// `there`, `gone` or `lost`: the last for an artifact that it was told to be there and that is not. A `delete` works all the
// time, on what was not used since then.
import { contentId } from '@varve/store'
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileArtifacts } from '../file-artifacts.ts'
import { raced } from './contents.ts'

const [, , folder = '', verb] = process.argv
const id = contentId(raced)
let now = 0
const artifacts = fileArtifacts({ folder, now: () => now })

async function isTold(): Promise<boolean> {
  if (verb === 'put') return (await artifacts.put(raced)) === id
  return (await artifacts.touch([id])).length === 1
}

/** Reads it to its end: what is there must also be whole. */
async function isThere(): Promise<boolean> {
  if (!(await artifacts.has(id))) return false
  return (await (await artifacts.get(id)).bytes()).byteLength === raced.byteLength
}

async function deleteAllTheTime(): Promise<never> {
  for (;;) {
    await artifacts.delete(id, { ifUnusedSince: now })
    await nextTurn()
  }
}

if (verb === 'delete') void deleteAllTheTime()
for await (const line of createInterface({ input: process.stdin })) {
  now = Number(line)
  if (verb === 'delete') continue
  const told = await isTold()
  writeSync(1, told ? ((await isThere()) ? 'there\n' : 'lost\n') : 'gone\n')
}
