import type { ActionError } from '@varve/kernel'
import { execFileSync } from 'node:child_process'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fileTransport, type FileRequest, type FileTransportOptions } from './file-transport.ts'

let outside: string
let root: string

beforeEach(async () => {
  outside = await realpath(await mkdtemp(path.join(tmpdir(), 'varve-files-')))
  root = path.join(outside, 'root')
  await mkdir(path.join(root, 'in'), { recursive: true })
  await writeFile(path.join(outside, 'secret.txt'), 's3cret')
  await writeFile(path.join(root, 'in', 'a.json'), '{"a":[1]}')
})

afterEach(async () => {
  await rm(outside, { recursive: true })
})

const context = () => ({ signal: new AbortController().signal, idempotencyKey: 'k' })

const call = (request: FileRequest, options: Partial<FileTransportOptions> = {}) =>
  fileTransport({ root, write: true, ...options }).call(request, context())

/** What a call fails with. */
async function errorOf(calling: Promise<unknown>): Promise<ActionError> {
  const error = await calling.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  )
  return error as ActionError
}

describe('reading', () => {
  test.for<readonly [as: 'json' | 'text' | 'base64' | undefined, bytes: string | Buffer, content: unknown]>([
    [undefined, '{"a":[1]}', { a: [1] }],
    ['json', '\ufeff[1]', [1]],
    ['json', '', null],
    ['text', 'grün', 'grün'],
    ['base64', Buffer.from([0xff, 0]), '/wA='],
  ])('a file as %s', async ([as, bytes, content]) => {
    await writeFile(path.join(root, 'f'), bytes)

    const response = await call({ op: 'read', path: 'f', ...(as && { as }) })

    expect(response).toEqual({ op: 'read', size: Buffer.byteLength(bytes), content })
  })

  test('a file through a link that stays in the root', async () => {
    await symlink('in', path.join(root, 'link'))

    const response = await call({ op: 'read', path: 'link/a.json' })

    expect(response).toMatchObject({ content: { a: [1] } })
  })

  test('a root that is a link itself', async () => {
    await symlink(root, path.join(outside, 'link'))

    const response = await call({ op: 'read', path: './in//a.json' }, { root: path.join(outside, 'link') })

    expect(response).toMatchObject({ content: { a: [1] } })
  })

  test('a file of just the size that is allowed, and not one byte more', async () => {
    await writeFile(path.join(root, 'f'), 'x'.repeat(1_000))
    const read = (maxBytes: number) => call({ op: 'read', path: 'f', as: 'text' }, { maxBytes })

    const most = await read(1_000)
    const error = await errorOf(read(999))

    expect(most).toMatchObject({ size: 1_000 })
    expect(error).toMatchObject({ code: 'OUTPUT_TOO_LARGE', kind: 'permanent' })
  })

  test.skipIf(process.platform !== 'linux')('a file that says that it is empty, to its end', async () => {
    const response = await fileTransport({ root: '/proc' }).call(
      { op: 'read', path: 'filesystems', as: 'text' },
      context(),
    )

    expect(response).toMatchObject({ content: await readFile('/proc/filesystems', 'utf8') })
  })

  test.for<readonly [code: string, as: 'json' | 'text', bytes: string | Buffer]>([
    ['OUTPUT_NOT_JSON', 'json', '{"k": s3cret'],
    ['OUTPUT_NOT_TEXT', 'text', Buffer.from([0xff])],
  ])('what is something else is %s, and is not quoted', async ([code, as, bytes]) => {
    await writeFile(path.join(root, 'f'), bytes)

    const error = await errorOf(call({ op: 'read', path: 'f', as }))

    expect(error).toMatchObject({ code, kind: 'permanent' })
    expect(error.message).not.toContain('s3cret')
  })

  test.skipIf(process.platform === 'win32')('a pipe does not hang', async () => {
    execFileSync('/bin/sh', ['-c', 'mkfifo "$0"', path.join(root, 'pipe')])

    const error = await errorOf(call({ op: 'read', path: 'pipe' }))

    expect(error).toMatchObject({ code: 'FILE_WRONG_TYPE' })
  })
})

describe('a path', () => {
  const requests = (at: string): FileRequest[] => [
    { op: 'read', path: at },
    { op: 'list', path: at },
    { op: 'stat', path: at },
    { op: 'write', path: at, content: 1 },
  ]

  test.for([
    '..',
    '../secret.txt',
    'in/../../secret.txt',
    'in/..',
    '..\\secret.txt',
    '/etc/passwd',
    'C:\\secret.txt',
    'c:secret.txt',
    '\\\\host\\share',
  ])('%s is refused in every request', async (at) => {
    for (const request of requests(at)) {
      const error = await errorOf(call(request))

      expect(error).toMatchObject({ code: 'PATH_NOT_ALLOWED', kind: 'permanent', notExecuted: true })
    }
  })

  test.for(['', 'a\0b'])('%j is no path', async (at) => {
    for (const request of requests(at)) {
      expect(await errorOf(call(request))).toMatchObject({ code: 'REQUEST_INVALID', notExecuted: true })
    }
  })

  test('that merely begins with dots is one like any other', async () => {
    await writeFile(path.join(root, '..a'), '1')

    expect(await call({ op: 'read', path: '..a' })).toMatchObject({ content: 1 })
  })

  test('through a link that leads out of the root is refused in every request, without saying where to', async () => {
    await symlink(outside, path.join(root, 'out'))
    await symlink(path.join(outside, 'secret.txt'), path.join(root, 'file'))

    for (const request of [...requests('out/secret.txt'), ...requests('file').slice(0, 3)]) {
      const error = await errorOf(call(request))

      expect(error).toMatchObject({ code: 'PATH_NOT_ALLOWED' })
      expect(error.message).not.toContain(outside)
    }
    expect(await readFile(path.join(outside, 'secret.txt'), 'utf8')).toBe('s3cret')
  })

  test('beside a root whose name is the beginning of it is outside', async () => {
    await mkdir(path.join(outside, 'root2'))
    await writeFile(path.join(outside, 'root2', 'f'), '1')
    await symlink(path.join(outside, 'root2'), path.join(root, 'sibling'))

    expect(await errorOf(call({ op: 'read', path: 'sibling/f' }))).toMatchObject({ code: 'PATH_NOT_ALLOWED' })
  })

  test('that leads nowhere is missing', async () => {
    await symlink('gone', path.join(root, 'broken'))

    const codes = await Promise.all(
      (['nowhere', 'broken'] as const).flatMap((at) => [
        errorOf(call({ op: 'read', path: at })).then(({ code }) => code),
        errorOf(call({ op: 'list', path: at })).then(({ code }) => code),
        call({ op: 'stat', path: at }),
      ]),
    )

    const missing = { op: 'stat', kind: 'missing' }
    expect(codes).toEqual(['FILE_MISSING', 'FILE_MISSING', missing, 'FILE_MISSING', 'FILE_MISSING', missing])
  })

  test('of the wrong kind is refused', async () => {
    const codes = await Promise.all(
      [
        call({ op: 'read', path: 'in' }),
        call({ op: 'list', path: 'in/a.json' }),
        call({ op: 'read', path: 'in/a.json/b' }),
        call({ op: 'write', path: 'in', content: 1 }),
        call({ op: 'write', path: '.', content: 1 }),
      ].map(async (calling) => (await errorOf(calling)).code),
    )

    expect(new Set(codes)).toEqual(new Set(['FILE_WRONG_TYPE']))
  })

  test('in a root that is gone is a failure that names the root', async () => {
    const error = await errorOf(call({ op: 'stat', path: 'x' }, { root: path.join(outside, 'gone') }))

    expect(error).toMatchObject({ code: 'FILE_FAILED' })
    expect(error.message).toContain('the root')
  })
})

describe('listing and looking', () => {
  test('names what lies in a folder, in order, and leaves out what is being written', async () => {
    await writeFile(path.join(root, 'b'), '')
    await writeFile(path.join(root, '.varve-00000000-0000-4000-8000-000000000000.tmp'), '')
    await symlink('b', path.join(root, 'a'))

    const response = await call({ op: 'list', path: '.' })

    expect(response).toEqual({
      op: 'list',
      entries: [
        { name: 'a', kind: 'link' },
        { name: 'b', kind: 'file' },
        { name: 'in', kind: 'folder' },
      ],
    })
  })

  test('is bounded by the bytes of the names', async () => {
    await writeFile(path.join(root, 'ü'.repeat(20)), '')

    expect(await call({ op: 'list', path: '.' }, { maxBytes: 42 })).toMatchObject({ op: 'list' })
    expect(await errorOf(call({ op: 'list', path: '.' }, { maxBytes: 41 }))).toMatchObject({ code: 'OUTPUT_TOO_LARGE' })
  })

  test('says kind, size and time in whole milliseconds', async () => {
    const file = path.join(root, 'in', 'a.json')
    await utimes(file, 1_700_000_000.25, 1_700_000_000.25)

    const response = await call({ op: 'stat', path: 'in/a.json' })

    expect(response).toEqual({ op: 'stat', kind: 'file', size: 9, modifiedAt: 1_700_000_000_250 })
    expect(await call({ op: 'stat', path: 'in' })).toMatchObject({ kind: 'folder' })
  })
})

describe('writing', () => {
  test.for<readonly [as: 'json' | 'text' | 'base64' | undefined, content: string | object, written: string | Buffer]>([
    [undefined, { b: 1, a: 'x' }, '{"a":"x","b":1}'],
    ['json', 'x', '"x"'],
    ['text', 'grün', 'grün'],
    ['base64', '/wA=', Buffer.from([0xff, 0])],
  ])('as %s', async ([as, content, written]) => {
    const response = await call({ op: 'write', path: 'in/f', content: content as string, ...(as && { as }) })

    const bytes = await readFile(path.join(root, 'in', 'f'))
    expect(bytes).toEqual(Buffer.from(written))
    expect(response).toEqual({ op: 'write', size: bytes.length })
    expect(await readdir(path.join(root, 'in'))).toEqual(['a.json', 'f'])
  })

  test.skipIf(process.platform === 'win32')('replaces a file as a whole, and keeps its mode', async () => {
    const file = path.join(root, 'in', 'a.json')
    await chmod(file, 0o640)
    const before = await stat(file)

    await call({ op: 'write', path: 'in/a.json', content: 'x', as: 'text' })

    const after = await stat(file)
    expect(await readFile(file, 'utf8')).toBe('x')
    expect(after.mode).toBe(before.mode)
    expect(after.ino).not.toBe(before.ino)
  })

  test('is refused unless it was allowed', async () => {
    const transport = fileTransport({ root })

    const error = await errorOf(transport.call({ op: 'write', path: 'f', content: 1 }, context()))

    expect(error).toMatchObject({ code: 'WRITE_NOT_ALLOWED', notExecuted: true })
    expect(await readdir(root)).toEqual(['in'])
  })

  test('over a link is refused, and leaves what it leads to alone', async () => {
    await symlink(path.join(outside, 'secret.txt'), path.join(root, 'link'))

    expect(await errorOf(call({ op: 'write', path: 'link', content: 1 }))).toMatchObject({ code: 'FILE_WRONG_TYPE' })
    expect(await readFile(path.join(outside, 'secret.txt'), 'utf8')).toBe('s3cret')
  })

  test('of more than is allowed, or of what has another form, changes nothing', async () => {
    const refused = await Promise.all([
      errorOf(call({ op: 'write', path: 'f', content: 'x'.repeat(11), as: 'text' }, { maxBytes: 10 })),
      errorOf(call({ op: 'write', path: 'f', content: { a: 's3cret' }, as: 'text' })),
      errorOf(call({ op: 'write', path: 'f', content: 's3cret!!', as: 'base64' })),
      errorOf(call({ op: 'write', path: 'f', content: { a: new Date(0) } as never })),
      errorOf(call({ op: 'write', path: 'f' } as never)),
      errorOf(call({ op: 'remove', path: 'f' } as never)),
    ])

    expect(refused.map(({ code }) => code)).toEqual([
      'INPUT_TOO_LARGE',
      ...Array.from({ length: 5 }, () => 'REQUEST_INVALID'),
    ])
    expect(refused.every(({ message, notExecuted }) => notExecuted && !message.includes('s3cret'))).toBe(true)
    expect(await readdir(root)).toEqual(['in'])
  })

  test('into a folder that is missing fails', async () => {
    expect(await errorOf(call({ op: 'write', path: 'new/f', content: 1 }))).toMatchObject({ code: 'FILE_MISSING' })
  })

  test('that many do at once leaves one of their contents, whole, and nothing else', async () => {
    const contents = Array.from({ length: 20 }, (_, n) => String(n).repeat(10_000))

    await Promise.all(contents.map((content) => call({ op: 'write', path: 'f', content, as: 'text' })))

    expect(contents).toContain(await readFile(path.join(root, 'f'), 'utf8'))
    expect(await readdir(root)).toEqual(['f', 'in'])
  })

  test('that is aborted before it takes its place leaves nothing behind', async () => {
    const controller = new AbortController()
    const transport = fileTransport({ root, write: true })

    const writing = transport.call(
      { op: 'write', path: 'in/a.json', content: 1 },
      { ...context(), signal: controller.signal },
    )
    controller.abort(new Error('the run was canceled'))

    await expect(writing).rejects.toThrow('the run was canceled')
    expect(await readFile(path.join(root, 'in', 'a.json'), 'utf8')).toBe('{"a":[1]}')
    expect(await readdir(path.join(root, 'in'))).toEqual(['a.json'])
  })
})

test('a call whose signal is aborted does nothing', async () => {
  const signal = AbortSignal.abort(new Error('too late'))

  const calling = fileTransport({ root }).call({ op: 'read', path: 'in/a.json' }, { ...context(), signal })

  await expect(calling).rejects.toThrow('too late')
})

test.for<readonly [what: string, options: Partial<FileTransportOptions>]>([
  ['a relative root', { root: 'files' }],
  ['a root with a NUL', { root: '/a\0b' }],
  ['no bytes', { maxBytes: 0 }],
])('%s is refused at once', ([, options]) => {
  expect(() => fileTransport({ root: '/tmp', ...options })).toThrow(
    expect.objectContaining({ name: 'PlanError', code: 'INVALID_DEFINITION' }),
  )
})
