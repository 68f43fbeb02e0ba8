import { expect, test } from 'vitest'
import { contractCases } from './contract-cases.ts'

/** Weaknesses that other event stores have shown, each with the cases that no store with it passes. */
const weaknesses = {
  'W38: a second process loses at once with "database is busy"': [
    'processes > of several processes at one head exactly one wins',
    'processes > several processes that take turns by lease never write over one another',
    'concurrent writers > of 2 x 20 writers at one head exactly one wins, ten heads in a row',
  ],
  'W39: what was acknowledged is lost': [
    'lifecycle > a durable store that is opened again has everything',
    'lifecycle > calls in flight at the close either happen or say so',
  ],
  'W40: every call opens a connection of its own, so that a store in memory forgets': [
    'reading > events come back in order, exactly as they were appended',
    'lifecycle > a store that is opened many times stays one store',
  ],
  'W41: the store blocks its caller, or fails inside an asynchronous one': [
    'lifecycle > calls may be made all at once',
    'reading > a reader that works while it reads may use the store',
  ],
  'W42: unrelated runs lock one another out, and a batch is written row by row': [
    'concurrent writers > writers of different runs do not disturb one another',
    'atomic batches > a thousand events land in one append',
  ],
  'W43: the database rewrites or refuses payloads': [
    'values > bodies come back byte for byte: keys out of order and twice',
    'values > bodies come back byte for byte: numbers in other spellings',
    'values > bodies come back byte for byte: white space',
    'values > bodies come back byte for byte: an escaped NUL',
    'values > bodies come back byte for byte: an escaped lone surrogate',
    'values > what a row holds comes back as it was',
  ],
} as const

const names = contractCases.map(({ group, name }) => `${group} > ${name}`)

test.for(Object.entries(weaknesses))('%s', ([, cases]) => {
  expect(names).toEqual(expect.arrayContaining([...cases]))
})

test('every case has a name of its own', () => {
  expect(new Set(names).size).toBe(names.length)
})
