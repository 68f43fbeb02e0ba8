import { secretRef } from '@varve/kernel'
import { contentId, isStoreError, sha256, type Json } from '@varve/store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findSecret } from './find-secret.ts'

/** Put together here, so that no scanner of repositories takes them for real. */
const of = (...parts: readonly string[]): string => parts.join('')

/** As random as a key, and the same in every run. */
const randomBytes = (n: number, size: number): Buffer =>
  Buffer.concat([0, 1, 2].map((part) => Buffer.from(sha256(`${n}/${part}`), 'hex'))).subarray(0, size)

const mnemonic = 'legal winner thank year wave sausage worth useful legal winner thank yellow'

describe('a name', () => {
  test.for([
    ...['password', 'passphrase', 'mnemonic', 'private_key', 'privatekey', 'seed phrase', 'seed_phrase', 'seedphrase'],
    ...['api_key', 'apikey', 'x-api-key', 'x_api_key', 'access_key', 'accesskey', 'secret_key', 'secretkey'],
    ...['aws_access_key_id', 'aws_secret_access_key', 'access_token', 'refresh_token', 'id_token', 'authorization'],
    ...['bearer', 'PASSWORD', 'dbPassword', 'apiKey', 'APIKey', 'X-Api-Key', 'apiKeyOfBank', 'API_KEY_2', 'mypassword'],
    ...['clientSecret', 'secret', 'appSecret', 'authToken', 'idToken', 'passwd', 'credentials'],
  ])('%s gives its value away', (name) => {
    const found = findSecret({ params: { [name]: 'hunter2' } })

    expect(found?.why).toMatch(/^it is called /)
    expect(found?.path).toMatch(/^value\.params/)
  })

  test.for([
    ...['artifact_written', 'seeding_database', 'token', 'maxTokens', 'tokens_per_minute', 'valid_tokens', 'secretary'],
    ...['secrets', 'secretName', 'keyboard', 'author', 'authorized', 'bearers', 'bypass', 'compass', 'word', 'hash'],
    ...['keys', 'public_key', 'seed', 'phrase', 'credentialing', 'grid_token'],
  ])('%s does not', (name) => {
    expect(findSecret({ [name]: 'plain' })).toBeUndefined()
  })

  test('gives away every text below it, at its path', () => {
    const value = { apiKeys: { empty: '', none: null, eu: ['first'] } }

    expect(findSecret(value, { name: 'manifest' })).toEqual({
      path: 'manifest.apiKeys.eu[0]',
      why: 'it is called api key',
    })
  })

  test.for<readonly [what: string, value: Json]>([
    ['nothing', { password: null, apiKey: '' }],
    ['a flag', { passwordRequired: true, authorization: false }],
    ['a number that is about it', { passwordMinLength: 12, apiKeyRotationDays: 30 }],
    ['a placeholder', { password: '***', apiKey: '${API_KEY}', authToken: '<token>', secret: '{{ s }}' }],
    ['what was redacted', { password: '[redacted]' }],
    ['the name of a secret', { apiKey: secretRef('bank/api_key') as unknown as Json }],
    ['a secret as it is recorded', { password: { $secret: 's-1', commitment: sha256('c') } }],
  ])('gives nothing away where there is %s', ([, value]) => {
    expect(findSecret(value)).toBeUndefined()
  })

  test('gives a number away when it says nothing else', () => {
    expect(findSecret({ password: 123456 })).toMatchObject({ path: 'value.password' })
    expect(findSecret({ password_2: 123456 })).toMatchObject({ path: 'value.password_2' })
  })

  test.for<readonly [how: string, key: Json]>([
    ['as a list', [174, 47, 0, 255]],
    ['as lists', [[174, 47], [0]]],
    ['as an object of bytes', JSON.parse(JSON.stringify(Uint8Array.of(174, 47, 0, 255))) as Json],
  ])('gives the bytes of a key away, %s', ([, privateKey]) => {
    expect(findSecret({ params: { privateKey } })).toMatchObject({ why: 'it is called private key' })
  })

  test('gives no list of numbers away that is about it', () => {
    expect(findSecret({ passwordLengths: [8, 12], apiKeyRotation: { days: [30, 60] } })).toBeUndefined()
  })

  test('of a reference that is none does not hide a value', () => {
    expect(findSecret({ password: { $secret: 'hunter2', commitment: 'c' } })).toBeDefined()
    expect(findSecret({ password: { $secretRef: 'a', value: 'hunter2' } })).toBeDefined()
    expect(findSecret({ $secretRef: 'a', key: of('gh', 'p_', 'a1B2'.repeat(9)) })).toBeDefined()
  })

  test('of the whole value says nothing', () => {
    expect(findSecret('plain', { name: 'password' })).toBeUndefined()
  })
})

describe('a value', () => {
  test.for<readonly [why: string, text: string]>([
    ['GitHub', of('gh', 'p_', 'a1B2'.repeat(9))],
    ['GitHub', of('gh', 's_', 'a1B2'.repeat(9))],
    ['GitHub', of('github', '_pat_', '11AB_'.repeat(10))],
    ['GitLab', of('gl', 'pat-', 'a1B2-'.repeat(4))],
    ['sk-', of('sk', '-', 'proj-a1B2c3D4e5F6g7H8')],
    ['sk-', of('sk', '-ant-api03-', 'abcdefghijkl')],
    ['Stripe', of('sk', '_live_', 'a1B2'.repeat(6))],
    ['Stripe', of('wh', 'sec_', 'a1B2'.repeat(6))],
    ['Slack', of('xo', 'xb-', '123456789012-abcdef')],
    ['AWS', of('AK', 'IA', 'ABCDEFGH12345678')],
    ['AWS', of('AS', 'IA', 'ABCDEFGH12345678')],
    ['Google', of('AI', 'za', 'a1B2c3D'.repeat(5))],
    ['npm', of('np', 'm_', 'a1B2'.repeat(9))],
    ['PyPI', of('py', 'pi-AgE', 'a1B2'.repeat(9))],
    ['SendGrid', of('S', 'G.', 'a1B2'.repeat(5), '.', 'a1B2'.repeat(10))],
    ['Hugging Face', of('h', 'f_', 'a1B2'.repeat(9))],
    ['private key', of('-----BEGIN ', 'PRIVATE KEY-----\nMII')],
    ['private key', of('-----BEGIN ', 'OPENSSH PRIVATE KEY-----\nMII')],
    ['private key', of('-----BEGIN ', 'PGP PRIVATE KEY BLOCK-----')],
    ['private key', of('AGE-SECRET', '-KEY-1', 'QPZRY9X8'.repeat(5))],
    ['JSON Web Token', of('eyJ', 'hbGciOiJIUzI1NiJ9.', 'eyJ', 'zdWIiOiIxMjM0In0.', 'c2lnbmF0dXJl')],
    ['bearer', 'Bearer x'],
    ['bearer', 'authorization: bearer abc'],
    ['bearer', 'curl -H "Authorization: Bearer abcdef0123456789" https://example.org'],
    ['HTTP', `Basic ${Buffer.from('ann:hunter2').toString('base64')}`],
    ['password in a URL', 'postgres://me:hunter2@db.example.org/app'],
    ['assignment', 'host=db password=hunter2'],
    ['assignment', '{"api_key": "hunter"}'],
    ['assignment', 'password: hunter2'],
    ['assignment', 'export AWS_SECRET_ACCESS_KEY=hunter'],
    ['mnemonic', mnemonic],
    ['mnemonic', `  ${mnemonic.replaceAll(' ', '\n')} `],
    ['mnemonic', `${mnemonic} ${mnemonic}`],
    ['random', randomBytes(1, 16).toString('hex')],
    ['random', randomBytes(1, 32).toString('hex').toUpperCase()],
    ['random', `0x${randomBytes(1, 32).toString('hex')}`],
    ['random', randomBytes(2, 32).toString('base64')],
    ['random', `key ${randomBytes(3, 32).toString('base64url')} of the bank`],
    ['random', of('k3j4h5k2', 'm9n4q7r5', 'x2z4w6v8', 'p1t3s5d7')],
  ])('is %s in any place: %s', ([why, text]) => {
    const found = findSecret({ steps: [{ note: 'plain' }, { note: text }] })

    expect(found).toMatchObject({ path: 'value.steps[1].note', why: expect.stringContaining(why) as string })
  })

  test.for([
    'This request needs an authorization header, and the password of the account.',
    'Password: required',
    'the bearer of this letter may pass, and any bearer certificates-of-deposit',
    'See the docs on api_key: they explain it',
    'password=${PASSWORD} and password=<password>',
    'postgres://user:${PASSWORD}@localhost/app',
    'https://example.org:8443/a@b?c=d',
    'basic research: what it is for',
    'the quick brown fox jumped over the lazy dog and slept well',
    'one two three four five six seven eight nine ten eleven',
    'this is a plain sentence that has twelve words in it and ends',
    'Legal winner thank year wave sausage worth useful legal winner thank yellow',
    'task-scheduler-with-a-very-long-name-2024',
    'sk-learn-with-a-very-long-name-of-words',
    'ghp_short',
    of('-----BEGIN ', 'PUBLIC KEY-----'),
    of('-----BEGIN ', 'CERTIFICATE-----'),
    'AKIA',
    contentId('x'),
    `the output is ${contentId('x')}, from ${contentId('y')}`,
    `sha512-${randomBytes(4, 64).toString('base64')}`,
    '8c1dbf6e-3b0c-4429-8fc1-c149afbf4c89',
    'run-8c1dbf6e-3b0c-4429-8fc1-c149afbf4c89-8c1dbf6e-3b0c-4429-8fc1-c149afbf4c80',
    '0x52908400098527886E0F7030069857D2E4169EE7',
    '/nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1/bin/hello',
    'usr/lib/x86_64-linux-gnu/libLLVM-14.so',
    'thisIsAVeryLongCamelCaseIdentifierName2',
    'ABSTRACT_SINGLETON_PROXY_FACTORY_BEAN_2',
    '/home/user/Projects/MyApp2/src/components/UserProfile/index',
    'arn:aws:s3:::my-bucket-name-2024-production-eu-west-1',
    '0'.repeat(64),
    '31415926535897932384626433832795028841971693993751',
    '2026-11-21T08:00:00.000Z/2026-11-22T08:00:00.000Z',
    '********************************',
  ])('is none: %s', (text) => {
    expect(findSecret({ note: text })).toBeUndefined()
  })

  test.for(['commit', 'planHash', 'sha256', 'digest', 'checksums', 'txId', 'fingerprint'])(
    'that is called %s may be hex, and nothing else',
    (name) => {
      expect(findSecret({ [name]: [sha256('x')] })).toBeUndefined()
      expect(findSecret({ [name]: randomBytes(5, 32).toString('base64') })).toBeDefined()
    },
  )

  test.for<readonly [form: string, make: (bytes: Buffer) => string, misses: number]>([
    ['hex', (bytes) => bytes.toString('hex'), 0],
    ['base64', (bytes) => bytes.toString('base64'), 5],
    ['base64url', (bytes) => bytes.toString('base64url'), 5],
  ])('of 32 random bytes in %s is found but for very few', ([, make, misses]) => {
    const missed = Array.from({ length: 1_000 }, (_, n) => make(randomBytes(n, 32))).filter(
      (text) => findSecret(text) === undefined,
    )

    expect(missed.length).toBeLessThanOrEqual(misses)
  })
})

describe('what is reported', () => {
  test('is the first in the order of properties', () => {
    expect(findSecret({ a: [{ password: 'one' }], apiKey: 'two' })?.path).toBe('value.a[0].password')
    expect(findSecret({ apiKey: 'two', a: [{ password: 'one' }] })?.path).toBe('value.apiKey')
  })

  test('ends at what holds a name that is a secret, and never shows it', () => {
    const token = of('gh', 'p_', 'a1B2'.repeat(9))

    const found = findSecret({ users: { ann: 1, [token]: { password: 'x' } } })

    expect(found).toEqual({ path: 'value.users', why: 'one of its names is a token of GitHub' })
  })

  test('leaves out the paths that are allowed, and what is below them, and nothing beside them', () => {
    const value = { apiKey: { eu: 'a', us: ['b'] }, apiKeys: 'c', list: [{ password: 'd' }, { password: 'e' }] }
    const left = (...allow: string[]) => findSecret(value, { allow })?.path

    expect(left('value.apiKey.eu')).toBe('value.apiKey.us[0]')
    expect(left('value.apiKey')).toBe('value.apiKeys')
    expect(left('value.apiKey', 'value.apiKeys', 'value.list[0]')).toBe('value.list[1].password')
    expect(left('value')).toBeUndefined()
    expect(left('apiKey')).toBe('value.apiKey.eu')
  })

  test('never holds the secret', () => {
    const secrets = fc.stringMatching(/^[a-z]{3}\d{6,20}$/)
    const names = fc.constantFrom('password', 'apiKey', 'Authorization', 'x y secret')

    fc.assert(
      fc.property(secrets, names, fc.jsonValue(), (secret, name, other) => {
        const value = { other: other as Json, inner: [{ [name]: secret }] }

        const found = findSecret(value)

        expect(found).toBeDefined()
        expect(JSON.stringify(found)).not.toContain(secret)
      }),
    )
  })
})

describe('looking', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,9}$/), { maxLength: 11 }).map((list) => list.join(' '))
  const harmless = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      words.filter((text) => !/pass|key|token|secret|phrase|basic|bearer/.test(text)),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.uuid(),
      fc.string().map(contentId),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.stringMatching(/^[a-f]{1,4}$/), tie('value'), { maxKeys: 4 }),
    ),
  })).value

  test('finds nothing in words, numbers, times, ids and contents', () => {
    fc.assert(fc.property(harmless, (value) => findSecret(value) === undefined))
  })

  test('changes nothing, and answers alike for a copy', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = JSON.stringify(value)

        const found = findSecret(value as Json)

        expect(JSON.stringify(value)).toBe(before)
        expect(findSecret(JSON.parse(before) as Json)).toEqual(found)
      }),
    )
  })

  test.for([
    ...['a', 'aA1', '-', 'eyJ', 'sk-', '://', '://a:', 'password:', 'password=', 'bearer ', 'basic a', 'a=', ' '],
    ...['-----BEGIN A ', 'abc ', 'sha256:', 'authorization: ', '0', '${', '/nix/store/', 'aaaaaaa1-'],
  ])('takes time in proportion to the text, not to its square: %s', (part) => {
    const text = part.repeat(2 ** 18 / part.length)

    expect(() => findSecret({ text, list: [`${text}!`] })).not.toThrow()
  })

  test('refuses what nests without end', () => {
    const circle: Json[] = []
    circle.push(circle)

    expect(() => findSecret(circle)).toThrow(
      expect.toSatisfy((error: unknown) => isStoreError(error, 'LIMIT_EXCEEDED')) as Error,
    )
  })
})
