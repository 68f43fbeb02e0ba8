import { expect, test } from 'vitest'
import { listenForInterruption } from './interruption.ts'

test('the signal that came first says what the process exits with', () => {
  const interruption = listenForInterruption()

  interruption.interrupt('SIGTERM')
  // As whoever asks does, when the question is cut off.
  interruption.interrupt('SIGINT')

  expect(interruption.signal.aborted).toBe(true)
  expect(interruption.exitCode()).toBe(143)
})
