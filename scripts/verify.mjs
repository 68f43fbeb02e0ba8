// Runs every check of this repository and closes with one line: `N passed, N failed`.
//
// A failing check does not stop the others. Checks run two at a time; the tests run alone, because some of them
// measure or kill processes.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { toolPath } from './tool-path.ts'

const root = path.join(import.meta.dirname, '..')
const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
const report = path.join('.cache', 'vitest.json')

// The longest first; what is packed has to be built before.
const checks = await twoAtATime([['lint'], ['build', 'pack:check'], ['typecheck'], ['format'], ['knip'], ['rules']])
const tests = await runTests()

const passed = checks.filter(Boolean).length + tests.passed
const failed = checks.filter((ok) => !ok).length + tests.failed
console.log(`\n${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** Runs lists of root scripts, each list in its order. */
async function twoAtATime(lists) {
  const waiting = [...lists]
  const results = []
  const worker = async () => {
    for (let names = waiting.shift(); names !== undefined; names = waiting.shift()) {
      for (const name of names) results.push(await check(name))
    }
  }
  await Promise.all([worker(), worker()])
  return results
}

/** Runs one root script. Returns whether it succeeded. */
async function check(name) {
  const { ok, seconds, output } = await run(scripts[name])
  printStep(ok, name, seconds, '', output)
  return ok
}

async function runTests() {
  mkdirSync(path.join(root, '.cache'), { recursive: true })
  rmSync(path.join(root, report), { force: true })
  const reporters = `--reporter=default --reporter=json --outputFile.json=${report}`
  const { ok, seconds, output } = await run(`${scripts.vitest} ${reporters}`)
  const { passed, failed, skipped, failures } = readReport()
  // Something failed outside of any test: an unhandled error, the set-up, or there was nothing to run.
  const blamed = ok && passed > 0 ? failed : Math.max(failed, 1)
  const detail = `: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
  // What failed comes first: whoever shows a part of the output shows its beginning.
  printStep(blamed === 0, 'vitest', seconds, detail, [...failures, output].join('\n\n'))
  return { passed, failed: blamed }
}

/**
 * Counts from vitest's report, and tells of each failure. A file that could not be loaded has no tests, and counts as one
 * that failed.
 */
function readReport() {
  try {
    const { numPassedTests, numFailedTests, numPendingTests, testResults } = JSON.parse(
      readFileSync(path.join(root, report), 'utf8'),
    )
    const failedTests = testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status === 'failed')
        .map(({ fullName, failureMessages }) => describe(name, fullName, failureMessages.join('\n'))),
    )
    const broken = testResults
      .filter(
        ({ status, assertionResults }) =>
          status === 'failed' && assertionResults.every((each) => each.status !== 'failed'),
      )
      .map(({ name, message }) => describe(name, 'could not be run', message))
    return {
      passed: numPassedTests,
      failed: numFailedTests + broken.length,
      skipped: numPendingTests,
      failures: [...failedTests, ...broken],
    }
  } catch {
    return { passed: 0, failed: 0, skipped: 0, failures: [] }
  }
}

/** One failure: where, what, and the beginning of why. */
function describe(file, title, why) {
  return `FAILED  ${path.relative(root, file)}: ${title}\n${why.slice(0, 1200)}`
}

function run(command) {
  const started = performance.now()
  const env = { ...process.env, PATH: toolPath, TURBO_TELEMETRY_DISABLED: '1' }
  return new Promise((resolve) => {
    const child = spawn(command, { cwd: root, env, shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => chunks.push(chunk))
    child.once('close', (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      resolve({ ok: code === 0, seconds, output: Buffer.concat(chunks).toString() })
    })
  })
}

function printStep(ok, name, seconds, detail, output) {
  console.log(`${ok ? 'ok    ' : 'FAILED'}  ${name}${detail} (${seconds} s)`)
  if (!ok) console.log(output.replaceAll(/^/gm, '        ').trimEnd())
}
