import { isBuiltin } from 'node:module'
import path from 'node:path'
import type { SourceFile, WorkspacePackage } from './workspace.ts'

/** What runs on a store and must work with any of them. */
const ENGINES = ['@varve/kernel', '@varve/plan', '@varve/worker', '@varve/testing']
/** Packages named like storage that are no adapters. */
const NOT_ADAPTERS = ['@varve/store-contract', '@varve/store-kysely']

/** At most this many names in a public `index.ts`. */
const MAX_NAMES = 35
/** These two serve users and the authors of adapters. */
const MAX_NAMES_OF = new Map([
  ['@varve/store', 109],
  ['@varve/kernel', 110],
])

type Rule = (packages: readonly WorkspacePackage[]) => string[]

/** Every rule by name. A rule returns one sentence per violation. */
export const rules = {
  'engines know no adapter': (packages) =>
    packages
      .filter(({ manifest }) => ENGINES.includes(manifest.name))
      .flatMap((each) => [
        ...runtimeDependencies(each)
          .filter(isStorage)
          .map((name) => `${each.folder}: depends on ${name}`),
        ...importsOf(each, isSource)
          .filter(({ name }) => isStorage(name))
          .map(importSentence(each)),
      ]),

  'adapters know no engine': (packages) =>
    packages
      .filter(({ manifest }) => isStorage(manifest.name))
      .flatMap((each) => [
        ...allDependencies(each)
          .filter(isEngine)
          .map((name) => `${each.folder}: depends on ${name}`),
        ...importsOf(each)
          .filter(({ name }) => isEngine(name))
          .map(importSentence(each)),
      ]),

  'the contract suite depends on the ports only': (packages) =>
    packages
      .filter(({ manifest }) => manifest.name === '@varve/store-contract')
      .flatMap((each) =>
        runtimeDependencies(each)
          .filter(
            (name) =>
              name !== '@varve/store' && !(name === 'vitest' && each.manifest.dependencies?.[name] === undefined),
          )
          .map((name) => `${each.folder}: depends on ${name}`),
      ),

  'the ports depend on nothing': (packages) =>
    packages
      .filter(({ manifest }) => manifest.name === '@varve/store')
      .flatMap((each) => [
        ...runtimeDependencies(each).map((name) => `${each.folder}: depends on ${name}`),
        ...importsOf(each, isSource).map(importSentence(each)),
      ]),

  'sources import declared dependencies only': (packages) =>
    packages.flatMap((each) => {
      const declared = runtimeDependencies(each)
      return importsOf(each, isSource)
        .filter(({ name, typeOnly }) => !declared.includes(name) && !(typeOnly && hasTypesFor(each, name)))
        .map(importSentence(each))
    }),

  'packages stay in their folder': (packages) =>
    packages
      .filter(({ folder }) => folder.startsWith('packages/'))
      .flatMap((each) =>
        each.files
          .filter(isSource)
          .flatMap((file) =>
            file.imports
              .filter(
                ({ specifier }) => specifier.startsWith('.') && !resolveImport(file, specifier).startsWith('src/'),
              )
              .map(({ specifier }) => `${each.folder}/${file.path}: imports ${specifier}`),
          ),
      ),

  'no cycle between packages': (packages) => {
    const edges = new Map(packages.map((each) => [each.manifest.name, allDependencies(each)]))
    return findCycles(edges).map((cycle) => cycle.join(' -> '))
  },

  'no cycle between files': (packages) =>
    packages.flatMap((each) => {
      const edges = new Map(each.files.map((file) => [file.path, valueImports(file)]))
      return findCycles(edges).map((cycle) => `${each.folder}: ${cycle.join(' -> ')}`)
    }),

  'every adapter runs the contract suite': (packages) =>
    packages
      .filter(({ manifest }) => isStorage(manifest.name) && !NOT_ADAPTERS.includes(manifest.name))
      .filter(
        ({ files }) =>
          !files.some(
            (file) =>
              file.path.endsWith('.contract.test.ts') &&
              file.imports.some(({ specifier }) => specifier === '@varve/store-contract'),
          ),
      )
      .map(({ folder }) => `${folder}: has no *.contract.test.ts that imports @varve/store-contract`),

  'packages depend on ranges': (packages) =>
    packages
      .filter(({ folder }) => folder.startsWith('packages/'))
      .flatMap(({ folder, manifest: { dependencies, peerDependencies } }) =>
        // By one version, which `workspace:*` is when it is packed, who upgrades a package alone would get a second copy of others.
        Object.entries({ ...dependencies, ...peerDependencies })
          .filter(([, version]) => !/^(?:workspace:)?\^|^>=/.test(version))
          .map(([name, version]) => `${folder}: depends on ${name} by ${version}, which is no range`),
      ),

  'every package says what it is': (packages) =>
    packages.flatMap(({ folder, manifest, hasReadme }) => [
      ...(hasReadme ? [] : [`${folder}: has no README.md`]),
      ...(manifest.license === undefined ? [`${folder}: has no license`] : []),
    ]),

  'a public index is a short list of names': (packages) =>
    packages
      .filter(({ folder }) => folder.startsWith('packages/'))
      .flatMap(({ folder, manifest, files }) => {
        const index = files.find(({ path }) => path === 'src/index.ts')
        if (index === undefined) return [`${folder}: has no src/index.ts`]
        const limit = MAX_NAMES_OF.get(manifest.name) ?? MAX_NAMES
        const count = index.exportedNames.length
        return [
          ...(index.exportsAll ? [`${folder}/src/index.ts: has an export *`] : []),
          ...(count > limit ? [`${folder}/src/index.ts: exports ${count} names, at most ${limit} are allowed`] : []),
        ]
      }),
} as const satisfies Record<string, Rule>

/** Runs every rule; one line per violation, led by the name of its rule. */
export function checkRules(packages: readonly WorkspacePackage[]): string[] {
  return Object.entries(rules).flatMap(([name, rule]) => rule(packages).map((violation) => `${name}: ${violation}`))
}

interface PackageImport {
  readonly file: string
  readonly name: string
  readonly typeOnly: boolean
}

function isStorage(name: string): boolean {
  return name.startsWith('@varve/store-') || name.startsWith('@varve/artifacts-')
}

function isEngine(name: string): boolean {
  return ENGINES.includes(name)
}

/** What only tests use lies in these folders; nothing of it is built. */
const TEST_FOLDERS = ['src/testing/', 'src/seams/', 'src/chaos/']

function isSource(file: SourceFile): boolean {
  return !file.path.endsWith('.test.ts') && !TEST_FOLDERS.some((folder) => file.path.startsWith(folder))
}

function runtimeDependencies({ manifest }: WorkspacePackage): string[] {
  const { dependencies, peerDependencies, optionalDependencies } = manifest
  return Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies })
}

function allDependencies(each: WorkspacePackage): string[] {
  return [...runtimeDependencies(each), ...Object.keys(each.manifest.devDependencies ?? {})]
}

function hasTypesFor({ manifest }: WorkspacePackage, name: string): boolean {
  return manifest.dependencies?.[`@types/${name}`] !== undefined
}

/** Imports of other packages; Node's own modules do not count. */
function importsOf(each: WorkspacePackage, wanted: (file: SourceFile) => boolean = () => true): PackageImport[] {
  return each.files
    .filter(wanted)
    .flatMap((file) =>
      file.imports
        .filter(({ specifier }) => !specifier.startsWith('.') && !isBuiltin(specifier))
        .map(({ specifier, typeOnly }) => ({ file: file.path, name: packageName(specifier), typeOnly })),
    )
}

function importSentence({ folder }: WorkspacePackage): (found: PackageImport) => string {
  return ({ file, name }) => `${folder}/${file}: imports ${name}`
}

function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function valueImports(file: SourceFile): string[] {
  return file.imports
    .filter(({ specifier, typeOnly }) => !typeOnly && specifier.startsWith('.'))
    .map(({ specifier }) => resolveImport(file, specifier))
}

function resolveImport(file: SourceFile, specifier: string): string {
  return path.posix.join(path.posix.dirname(file.path), specifier)
}

/** Every cycle that a depth-first walk closes, each as the path from a node back to itself. */
function findCycles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const done = new Set<string>()
  const cycles: string[][] = []
  const visit = (node: string, trail: readonly string[]): void => {
    const start = trail.indexOf(node)
    if (start >= 0) cycles.push([...trail.slice(start), node])
    if (start >= 0 || done.has(node)) return
    for (const next of edges.get(node) ?? []) visit(next, [...trail, node])
    done.add(node)
  }
  for (const node of edges.keys()) visit(node, [])
  return cycles
}
