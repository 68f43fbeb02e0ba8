import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { temporaryFolder } from '../testing/program.ts'
import { publications, type Publications } from './publications.ts'

let folder: string
let remove: () => void
let reports: Publications

beforeEach(() => {
  ;({ folder, remove } = temporaryFolder())
  reports = publications(path.join(folder, 'published'), path.join(folder, 'report.html'))
})
afterEach(() => remove())

const attempt = { run: 'r', attempt: 1 }
const { signal } = new AbortController()
const newest = (): string => readFileSync(path.join(folder, 'report.html'), 'utf8')

test('a report that is published lies there whole, and nothing else does', async () => {
  const published = await reports.publish(attempt, 'a page', signal)

  expect(published).toMatchObject({ name: 'r.1.html', bytes: 6 })
  expect(newest()).toBe('a page')
  expect(readdirSync(folder).toSorted()).toEqual(['published', 'report.html'])
  expect(readdirSync(path.join(folder, 'published'))).toEqual(['r.1.html'])
})

test('an attempt that has published is found to have', async () => {
  const published = await reports.publish(attempt, 'a page', signal)

  expect(await reports.settle(attempt)).toEqual(published)
  expect(newest()).toBe('a page')
})

test('a report that was published when its process died is shown when that is settled', async () => {
  mkdirSync(path.join(folder, 'published'))
  writeFileSync(path.join(folder, 'published', 'r.1.html'), 'a page')

  await reports.settle(attempt)

  expect(newest()).toBe('a page')
})

test('an attempt that was settled before it published never does, and the next one may', async () => {
  expect(await reports.settle(attempt)).toBeUndefined()
  const late = reports.publish(attempt, 'too late', signal)

  await expect(late).rejects.toMatchObject({ code: 'NOT_PUBLISHED', notExecuted: true })
  expect(await reports.settle(attempt)).toBeUndefined()
  expect(existsSync(path.join(folder, 'report.html'))).toBe(false)
  await reports.publish({ run: 'r', attempt: 2 }, 'a page', signal)
  expect(newest()).toBe('a page')
})

test('of settling and publishing at the same time one comes first, and both agree on which', async () => {
  for (let number = 1; number <= 20; number++) {
    const each = { run: 'r', attempt: number }
    const [published, settled] = await Promise.all([
      reports.publish(each, 'a page', signal).catch(() => undefined),
      reports.settle(each),
    ])

    expect(settled).toEqual(published)
  }
})

test('an attempt that is given up before it published says that it has not', async () => {
  const late = reports.publish(attempt, 'a page', AbortSignal.abort())

  await expect(late).rejects.toMatchObject({ code: 'NOT_PUBLISHED', notExecuted: true })
  expect(readdirSync(path.join(folder, 'published'))).toEqual([])
})

test('a folder that cannot be written has nothing published, for certain', async () => {
  writeFileSync(path.join(folder, 'published'), 'a file in its place')

  const published = reports.publish(attempt, 'a page', signal)

  await expect(published).rejects.toMatchObject({ code: 'NOT_PUBLISHED', notExecuted: true })
})
