import { memoryStore } from '@varve/store-memory'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { kernelError } from '../testing/expected-errors.ts'
import { defineWorkflow } from '../workflow/define-workflow.ts'
import { createKernel } from './kernel.ts'

function greeting(version: string) {
  return defineWorkflow(
    { name: 'greeting', version, input: z.string() },
    { step: ({ input }, next) => next.complete(`${version}: ${input}`) },
  )
}

describe('a workflow that is registered later', () => {
  test('runs, and is recovered like any other', async () => {
    const store = memoryStore()
    const workflow = greeting('1')
    await createKernel({ store, workflows: [workflow] }).start(workflow, 'hello', { runId: 'left', wait: false })
    const kernel = createKernel({ store, workflows: [] })
    expect(await kernel.recover()).toEqual([])

    kernel.register(workflow)

    expect(await kernel.recover()).toMatchObject([{ runId: 'left', outcome: { output: '1: hello' } }])
    expect(await kernel.start(workflow, 'again')).toMatchObject({ output: '1: again' })
  })

  test('goes on with runs that were parked for want of it', async () => {
    const store = memoryStore()
    const workflow = greeting('1')
    await createKernel({ store, workflows: [workflow] }).start(workflow, 'hello', { runId: 'r', wait: false })
    const kernel = createKernel({ store, workflows: [greeting('2')] })
    await expect(kernel.run('r')).rejects.toMatchObject(kernelError('WORKFLOW_MISSING'))
    expect(await kernel.get('r')).toMatchObject({ problem: { code: 'WORKFLOW_MISSING' } })

    kernel.register(workflow)

    expect(await kernel.run('r')).toMatchObject({ output: '1: hello' })
  })

  test('is the version that children begin with', async () => {
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.string() },
      {
        step: ({ input, results }, next) => {
          const child = results[input]
          return child === undefined ? next.child(greeting('1'), 'hi', { key: input }) : next.complete(child)
        },
      },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [parent, greeting('1')] })
    const started = async (input: string): Promise<unknown> => kernel.start(parent, input)
    const before = await started('a')

    kernel.register(greeting('2'))

    expect(before).toMatchObject({ output: { output: '1: hi' } })
    expect(await started('b')).toMatchObject({ output: { output: '2: hi' } })
  })

  test('may be registered again, which changes nothing', async () => {
    const [one, two] = [greeting('1'), greeting('2')]
    const parent = defineWorkflow(
      { name: 'parent', version: '1', input: z.null() },
      {
        step: ({ results }, next) =>
          results['c'] === undefined ? next.child(greeting('1'), 'hi', { key: 'c' }) : next.complete(results['c']),
      },
    )
    const kernel = createKernel({ store: memoryStore(), workflows: [one, two, parent] })

    kernel.register(one)
    kernel.register({ ...two })

    expect(await kernel.start(parent, null)).toMatchObject({ output: { output: '2: hi' } })
  })

  test('is refused when another one has its name and version, and changes nothing', async () => {
    const workflow = greeting('1')
    const kernel = createKernel({ store: memoryStore(), workflows: [workflow] })

    expect(() => {
      kernel.register(greeting('1'))
    }).toThrow(expect.objectContaining(kernelError('INVALID_DEFINITION')))

    expect(await kernel.start(workflow, 'hello')).toMatchObject({ output: '1: hello' })
  })

  test('is refused by a kernel that was disposed', async () => {
    const kernel = createKernel({ store: memoryStore(), workflows: [] })
    await kernel[Symbol.asyncDispose]()

    expect(() => {
      kernel.register(greeting('1'))
    }).toThrow(expect.objectContaining(kernelError('KERNEL_CLOSED')))
  })
})

test.for<[what: string, workflow: unknown]>([
  ['nothing', undefined],
  ['an object', {}],
  ['a name', 'greeting'],
  ['a number', 5],
  ['a spec', { name: 'greeting', version: '1', input: z.string() }],
])('%s in the place of a workflow is refused', async ([, given]) => {
  const store = memoryStore()
  const workflow = given as ReturnType<typeof greeting>
  const kernel = createKernel({ store, workflows: [greeting('1')] })
  const refused = expect.objectContaining({
    ...kernelError('INVALID_DEFINITION'),
    message: expect.stringContaining('a workflow must be what defineWorkflow made') as string,
  }) as Error

  expect(() => kernel.register(workflow)).toThrow(refused)
  expect(() => createKernel({ store, workflows: [greeting('1'), workflow] })).toThrow(refused)
  await expect(kernel.start(workflow, 'hello')).rejects.toEqual(refused)
})
