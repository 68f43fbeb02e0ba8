import { CommanderError } from 'commander'
import { expect, test, vi } from 'vitest'
import { readArguments, storeNames } from './arguments.ts'

import { workloadNames } from './workloads/workloads.ts'

test('measures everything on every store unless told otherwise', () => {
  expect(readArguments([])).toMatchObject({ workloads: workloadNames, stores: storeNames, rounds: 5 })
  expect(readArguments(['runs', '--stores', 'memory'])).toMatchObject({ workloads: ['runs'], stores: ['memory'] })
})

test.for([
  [['--steps', '0']],
  [['--rounds', 'many']],
  [['--states', '1000001']],
  [['--stores', 'memory,tape']],
  [['stairs']],
  [['--frobnicate']],
] as const)('refuses %j with the usage', ([args]) => {
  const error = vi.spyOn(process.stderr, 'write').mockReturnValue(true)

  expect(() => readArguments(args)).toThrow(CommanderError)
  expect(error.mock.calls.join('')).toContain('Usage: bench')
  error.mockRestore()
})
