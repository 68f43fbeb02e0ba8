import type { ActionError } from '@varve/kernel'
import { virtualClock } from '@varve/testing'
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { programTransport, type ProgramRequest, type ProgramTransportOptions } from './program-transport.ts'

let folder: string

beforeEach(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'varve-programs-')))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

const context = () => ({ signal: new AbortController().signal, idempotencyKey: 'k' })

/** A program of this test. */
async function script(text: string, { name = 'program', mode = 0o755 } = {}): Promise<string> {
  const file = path.join(folder, name)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, `#!/bin/sh\n${text}\n`)
  await chmod(file, mode)
  return file
}

const PATH = process.env['PATH'] ?? '/usr/bin:/bin'

function call(request: ProgramRequest, options: Partial<ProgramTransportOptions> = {}, ctx = context()) {
  return programTransport({ allow: [folder], env: { PATH }, ...options }).call(request, ctx)
}

/** Runs JavaScript in a program of its own. */
function node(code: string, request: Partial<ProgramRequest> = {}, options: Partial<ProgramTransportOptions> = {}) {
  const program = process.execPath
  return call({ program, args: ['-e', code], as: 'text', ...request }, { allow: [program], ...options })
}

/** What a call fails with. */
async function errorOf(calling: Promise<unknown>): Promise<ActionError> {
  const error = await calling.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  )
  return error as ActionError
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** What a program has left in a file, as soon as it is there. */
async function written(name: string): Promise<string> {
  for (;;) {
    const text = await readFile(path.join(folder, name), 'utf8').catch(() => '')
    if (text.endsWith('\n')) return text.trim()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Waits for a process that was killed to be gone: it is a zombie until its new parent takes notice. */
async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 10_000; i++) {
    if (!isAlive(pid) || (await isZombie(pid))) return true
    await new Promise((resolve) => setImmediate(resolve))
  }
  return false
}

async function isZombie(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return text.slice(text.lastIndexOf(')')).startsWith(') Z')
}

describe.skipIf(process.platform === 'win32')('a program', () => {
  test('gets its input as canonical JSON and answers with JSON', async () => {
    const program = await script('cat')

    const response = await call({ program, stdin: { b: [1, 'ü'], a: null } })
    const text = await call({ program, stdin: { b: [1, 'ü'], a: null }, as: 'text' })

    expect(response).toEqual({ stdout: { a: null, b: [1, 'ü'] } })
    expect(text).toEqual({ stdout: '{"a":null,"b":[1,"ü"]}' })
  })

  test('without input reads nothing, and may say nothing', async () => {
    const program = await script('cat')

    expect(await call({ program })).toEqual({ stdout: null })
    expect(await call({ program, as: 'text' })).toEqual({ stdout: '' })
  })

  test('gets its arguments as they are: no shell reads them', async () => {
    const args = ['$HOME', '`id`', '; exit 3', 'a b', '*', '']
    const program = await script('for each in "$@"; do printf "<%s>" "$each"; done')

    const { stdout } = await call({ program, args, as: 'text' })

    expect(stdout).toBe('<$HOME><`id`><; exit 3><a b><*><>')
  })

  test('sees of the environment what the request and the transport say, the transport first', async () => {
    const code = 'process.stdout.write(JSON.stringify(process.env))'

    const { stdout } = await node(
      code,
      { env: { REGION: 'eu', KEY: 'of the request' }, as: 'json' },
      { env: { KEY: 'own' } },
    )

    expect(stdout).toEqual({ REGION: 'eu', KEY: 'own' })
  })

  test('runs in / or in the folder that was given', async () => {
    const code = 'process.stdout.write(process.cwd())'

    expect(await node(code)).toEqual({ stdout: '/' })
    expect(await node(code, {}, { cwd: folder })).toEqual({ stdout: folder })
  })

  test('may end without reading a large input', async () => {
    const program = await script('echo 1')

    const response = await call({ program, stdin: 'x'.repeat(1_000_000) })

    expect(response).toEqual({ stdout: 1 })
  })

  test('may write more than a pipe holds while its input is still being written', async () => {
    const program = await script('cat')
    const stdin = 'x'.repeat(1_000_000)

    expect(await call({ program, stdin })).toEqual({ stdout: stdin })
  })

  test('may write just as much as is allowed', async () => {
    const write = (size: number) =>
      node(`process.stdout.write('x'.repeat(${size})); process.stderr.write('y'.repeat(${size}))`, {}, bounds)
    const bounds = { maxStdout: 100_000, maxStderr: 100_000 }

    expect(await write(100_000)).toEqual({ stdout: 'x'.repeat(100_000) })
    expect(await errorOf(write(100_001))).toMatchObject({ code: 'OUTPUT_TOO_LARGE' })
  })

  test.for(['stdout', 'stderr'] as const)('that never stops writing to %s is killed at the limit', async (stream) => {
    const program = await script(`echo $$ > ${folder}/pid; exec yes ${stream === 'stderr' ? '>&2' : ''}`)

    const error = await errorOf(call({ program }, { maxStdout: 200_000, maxStderr: 200_000 }))

    expect(error).toMatchObject({ code: 'OUTPUT_TOO_LARGE', kind: 'permanent', notExecuted: false })
    expect(error.message).toContain(stream)
    expect(isAlive(Number(await written('pid')))).toBe(false)
  })

  test('whose input is larger than allowed is not started', async () => {
    const program = await script(`echo started > ${folder}/mark`)

    const error = await errorOf(call({ program, stdin: 'x'.repeat(9) }, { maxStdin: 10 }))

    expect(error).toMatchObject({ code: 'INPUT_TOO_LARGE', notExecuted: true })
    await expect(readFile(path.join(folder, 'mark'))).rejects.toThrow('ENOENT')
  })

  test('that writes something else than it was asked for fails, and is not quoted', async () => {
    const program = await script('echo "{ s3cret"')

    const error = await errorOf(call({ program }))
    const noText = await errorOf(node('process.stdout.write(Buffer.from([255]))'))

    expect(error).toMatchObject({ code: 'OUTPUT_NOT_JSON', kind: 'permanent', notExecuted: false })
    expect(error.message).not.toContain('s3cret')
    expect(noText).toMatchObject({ code: 'OUTPUT_NOT_TEXT' })
  })
})

describe.skipIf(process.platform === 'win32')('the allow-list', () => {
  test('takes single programs and folders', async () => {
    const program = await script('echo 1', { name: 'bin/a' })
    const other = await script('echo 2', { name: 'bin/b' })

    const outcomes = await Promise.all([
      call({ program }, { allow: [program] }),
      call({ program: other }, { allow: [program] }).catch((error: unknown) => (error as ActionError).code),
      call({ program: other }, { allow: [program, path.join(folder, 'bin/')] }),
    ])

    expect(outcomes).toEqual([{ stdout: 1 }, 'PROGRAM_NOT_ALLOWED', { stdout: 2 }])
  })

  test('is compared part by part, after .. and links are gone', async () => {
    await script('echo 1', { name: 'bin/a' })
    await script('echo 2', { name: 'bin-evil/a' })
    await symlink(path.join(folder, 'bin-evil/a'), path.join(folder, 'bin/link'))
    await symlink(path.join(folder, 'bin-evil'), path.join(folder, 'bin/folder'))
    const allow = [path.join(folder, 'bin')]

    const codes = await Promise.all(
      ['bin-evil/a', 'bin/../bin-evil/a', 'bin/link', 'bin/folder/a'].map(
        async (program) => (await errorOf(call({ program: `${folder}/${program}` }, { allow }))).code,
      ),
    )

    expect(codes).toEqual(Array.from({ length: 4 }, () => 'PROGRAM_NOT_ALLOWED'))
  })

  test('takes a link for what it leads to, and for its name', async () => {
    const program = await script('echo "$0"', { name: 'real/many' })
    const link = path.join(folder, 'one')
    const other = path.join(folder, 'two')
    await symlink(program, link)
    await symlink(program, other)

    expect(await call({ program: link, as: 'text' }, { allow: [link] })).toEqual({ stdout: `${program}\n` })
    // It is the same file, but such files do by their name what they do.
    expect(await errorOf(call({ program: other }, { allow: [link] }))).toMatchObject({ code: 'PROGRAM_NOT_ALLOWED' })
  })

  test('with an entry that is not there lets the others through', async () => {
    const program = await script('echo 1')

    expect(await call({ program }, { allow: ['/not/there', folder] })).toEqual({ stdout: 1 })
  })

  test.for<readonly [code: string, make: () => Promise<string>]>([
    ['PROGRAM_MISSING', async () => path.join(folder, 'nothing')],
    ['PROGRAM_NOT_EXECUTABLE', () => script('echo 1', { mode: 0o644 })],
    ['PROGRAM_NOT_EXECUTABLE', async () => folder],
    [
      'PROGRAM_SPAWN_FAILED',
      async () => {
        const file = await script('')
        await writeFile(file, '#!/not/there\n')
        return file
      },
    ],
  ])('or the system answers %s for what cannot be started', async ([code, make]) => {
    const error = await errorOf(call({ program: await make() }))

    expect(error).toMatchObject({ code, kind: 'permanent', notExecuted: true })
    expect(error.message).not.toContain(`${folder}/`)
  })

  test.for<readonly [what: string, request: object]>([
    ['a relative program', { program: 'sh' }],
    ['a program with a NUL', { program: '/bin/s\0h' }],
    ['an argument with a NUL', { args: ['s3cret\0'] }],
    ['a value with a NUL', { env: { A: 's3cret\0' } }],
    ['a value that is no text', { env: { A: 5 } }],
    ['a name with an equals sign', { env: { 'A=s3cret': '' } }],
    ['input that is no JSON', { stdin: { at: new Date(0) } }],
    ['an unknown field', { shell: 's3cret' }],
    ['another form', { as: 's3cret' }],
    ...['LD_PRELOAD', 'DYLD_INSERT_LIBRARIES', 'NODE_OPTIONS', 'BASH_ENV', 'PATH', 'PYTHONPATH'].map(
      (name) => [`${name}, which brings in other code`, { env: { [name]: 's3cret' } }] as const,
    ),
  ])('is not even asked about %s', async ([, request]) => {
    const error = await errorOf(call({ program: '/bin/sh', ...request }))

    expect(error).toMatchObject({ code: 'REQUEST_INVALID', kind: 'permanent', notExecuted: true })
    expect(error.message).toMatch(/^(NOT_JSON: )?request/)
    expect(error.message).not.toContain('s3cret')
  })

  test.for<readonly [what: string, options: Partial<ProgramTransportOptions>]>([
    ['nothing allowed', { allow: [] }],
    ['a relative path', { allow: ['bin'] }],
    ['a relative folder to run in', { cwd: '.' }],
    ['a variable that none can be', { env: { 'A=B': 's3cret' } }],
    ['a value that none can be', { env: { A: 's3cret\0' } }],
    ['no bytes for input', { maxStdin: 0 }],
    ['no bytes for output', { maxStdout: 0 }],
    ['no bytes for errors', { maxStderr: 0 }],
    ['no time', { timeoutMs: 0 }],
  ])('or another option with %s is refused at once', ([, options]) => {
    const defining = () => programTransport({ allow: ['/bin'], ...options })

    expect(defining).toThrow(expect.objectContaining({ name: 'PlanError', code: 'INVALID_DEFINITION' }))
    expect(defining).not.toThrow(/s3cret/)
  })
})

describe.skipIf(process.platform === 'win32')('a program that fails', () => {
  test.for<readonly [how: string, kind: string, ending: string]>([
    ['exit 3', 'permanent', 'ended with exit code 3'],
    ['exit 75', 'transient', 'ended with exit code 75'],
    ['kill -TERM $$', 'transient', 'was ended by SIGTERM'],
    ['kill -SEGV $$', 'permanent', 'was ended by SIGSEGV'],
  ])('by %s is a %s failure with the end of what it said', async ([how, kind, ending]) => {
    const program = await script(`echo out; echo "no such rate" >&2; ${how}`)

    const error = await errorOf(call({ program, as: 'text' }))

    expect(error).toMatchObject({ code: 'PROGRAM_FAILED', kind, notExecuted: false })
    expect(error.message).toBe(`program ${ending}: no such rate`)
  })

  test('is quoted with its last words alone', async () => {
    const code = "process.stderr.write('first' + '.'.repeat(50000) + 'last'); process.exitCode = 1"

    const error = await errorOf(node(code))

    expect(error.message).toMatch(/\.last$/)
    expect(error.message).not.toContain('first')
    expect(error.message.length).toBeLessThan(2_100)
  })

  test('is not quoted with what it was given', async () => {
    const program = await script('echo "key=$KEY region=$REGION"  >&2; cat >&2; exit 1')
    const own = 'own-s3cret'

    const error = await errorOf(
      call(
        { program, stdin: { token: 's3cret "in" quotes', list: ['deep s3cret'] }, env: { REGION: 'a s3cret place' } },
        { env: { PATH, KEY: own, PART: 's3cret' } },
      ),
    )

    expect(error.message).toBe(
      'program ended with exit code 1: key=[given] region=[given]\n{"list":["[given]"],"token":"[given]"}',
    )
  })
})

describe.skipIf(process.platform === 'win32')('a program that does not end', () => {
  /** Starts a child of its own, says who they are, and sleeps. */
  const family = () => script(`sleep 600 & echo "$$ $!" > ${folder}/pids; wait`)

  const pids = async () => (await written('pids')).split(' ').map(Number)

  test('is killed when time is over, with all that it started', async () => {
    const program = await family()
    const clock = virtualClock()

    const calling = errorOf(call({ program }, { clock, timeoutMs: 60_000 }))
    const [own, child] = await pids()
    clock.advance(59_999)
    expect([isAlive(own!), isAlive(child!)]).toEqual([true, true])
    clock.advance(1)
    const error = await calling

    expect(error).toMatchObject({ code: 'PROGRAM_TIMEOUT', kind: 'transient', notExecuted: false })
    // Reaped: not even a zombie is left of what was ours to wait for.
    expect(isAlive(own!)).toBe(false)
    expect(await gone(child!)).toBe(true)
    expect(clock.timers).toBe(0)
  })

  test('is killed when the caller gives up, and the call ends with the reason', async () => {
    const program = await family()
    const controller = new AbortController()

    const calling = errorOf(call({ program }, {}, { ...context(), signal: controller.signal }))
    const [own, child] = await pids()
    controller.abort(new Error('the run was canceled'))
    const error = await calling

    expect(error.message).toBe('the run was canceled')
    expect(isAlive(own!)).toBe(false)
    expect(await gone(child!)).toBe(true)
  })

  test('and does not read its input is killed when time is over', async () => {
    const program = await script('exec sleep 600')

    const error = await errorOf(call({ program, stdin: 'x'.repeat(1_000_000) }, { timeoutMs: 50 }))

    expect(error.code).toBe('PROGRAM_TIMEOUT')
  })

  test('and ignores being asked to is killed all the same', async () => {
    const program = await script(`trap '' TERM INT HUP; echo $$ > ${folder}/pid; while :; do sleep 600; done`)
    const clock = virtualClock()

    const calling = errorOf(call({ program }, { clock }))
    const pid = Number(await written('pid'))
    clock.advance(300_000)

    expect((await calling).code).toBe('PROGRAM_TIMEOUT')
    expect(isAlive(pid)).toBe(false)
  })

  test('is not started when the signal is aborted already', async () => {
    const program = await script(`echo started > ${folder}/mark`)
    const signal = AbortSignal.abort(new Error('too late'))

    await expect(call({ program }, {}, { ...context(), signal })).rejects.toThrow('too late')

    await expect(readFile(path.join(folder, 'mark'))).rejects.toThrow('ENOENT')
  })

  test('behind one that has ended is killed, and the answer is whole', async () => {
    const program = await script(`sleep 600 & echo $! > ${folder}/pid; echo '"done"'`)

    const response = await call({ program })

    expect(response).toEqual({ stdout: 'done' })
    expect(await gone(Number(await written('pid')))).toBe(true)
  })

  test.skipIf(process.platform !== 'linux')('and has left the group does not hold up the call', async () => {
    const program = await script(
      `setsid sh -c 'echo $$ > ${folder}/pid; exec sleep 600' & until [ -s ${folder}/pid ]; do :; done; echo 1`,
    )
    const clock = virtualClock()

    const calling = errorOf(call({ program }, { clock }))
    const pid = Number(await written('pid'))
    clock.advance(300_000)
    const error = await calling

    expect(error.code).toBe('PROGRAM_TIMEOUT')
    process.kill(pid, 'SIGKILL')
  })
})
