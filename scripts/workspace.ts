import { existsSync, globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

/** What the rules look at in a `package.json`. */
export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** One import or re-export. */
interface Import {
  readonly specifier: string
  /** Erased by the compiler: no module is loaded for it. */
  readonly typeOnly: boolean
}

/** One source file, reduced to what it imports and exports. */
export interface SourceFile {
  /** Relative to its package, with forward slashes. */
  readonly path: string
  readonly imports: readonly Import[]
  readonly exportedNames: readonly string[]
  /** Has an `export * from`. */
  readonly exportsAll: boolean
}

/** One package of the workspace. */
export interface WorkspacePackage {
  /** Relative to the root: `packages/store`. */
  readonly folder: string
  readonly manifest: Manifest
  readonly hasReadme: boolean
  readonly files: readonly SourceFile[]
}

/** Reads all packages and apps below `root`. */
export function readWorkspace(root: string): WorkspacePackage[] {
  return globSync('{packages,apps}/*/package.json', { cwd: root })
    .sort()
    .map((manifestPath) => {
      const folder = path.dirname(manifestPath)
      const sources = globSync('src/**/*.ts', { cwd: path.join(root, folder) }).sort()
      return {
        folder: slashes(folder),
        manifest: JSON.parse(readFileSync(path.join(root, manifestPath), 'utf8')) as Manifest,
        hasReadme: existsSync(path.join(root, folder, 'README.md')),
        files: sources.map((file) => parseSource(slashes(file), readFileSync(path.join(root, folder, file), 'utf8'))),
      }
    })
}

/** Finds imports and exported names with the compiler's own parser. */
export function parseSource(filePath: string, text: string): SourceFile {
  const parsed = ts.createSourceFile(filePath, text, ts.ScriptTarget.Latest)
  const imports: Import[] = dynamicImports(parsed)
  const exportedNames: string[] = []
  let exportsAll = false

  for (const statement of parsed.statements) {
    if (ts.isImportDeclaration(statement)) {
      imports.push({
        specifier: textOf(statement.moduleSpecifier),
        typeOnly: statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword,
      })
    } else if (ts.isExportDeclaration(statement)) {
      if (statement.moduleSpecifier !== undefined) {
        imports.push({ specifier: textOf(statement.moduleSpecifier), typeOnly: statement.isTypeOnly })
      }
      if (statement.exportClause === undefined) exportsAll = true
      else if (ts.isNamedExports(statement.exportClause)) {
        exportedNames.push(...statement.exportClause.elements.map((element) => element.name.text))
      } else exportedNames.push(statement.exportClause.name.text)
    } else exportedNames.push(...declaredExports(statement))
  }
  return { path: filePath, imports, exportedNames, exportsAll }
}

function dynamicImports(parsed: ts.SourceFile): Import[] {
  const found: Import[] = []
  const visit = (node: ts.Node): void => {
    const argument = ts.isCallExpression(node) ? node.arguments[0] : undefined
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && argument !== undefined) {
      if (ts.isStringLiteral(argument)) found.push({ specifier: argument.text, typeOnly: false })
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal))
        found.push({ specifier: node.argument.literal.text, typeOnly: true })
    }
    ts.forEachChild(node, visit)
  }
  visit(parsed)
  return found
}

function declaredExports(statement: ts.Statement): string[] {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined
  if (modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) !== true) return []
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => (ts.isIdentifier(name) ? name.text : '(pattern)'))
  }
  const { name } = statement as ts.Statement & { readonly name?: ts.Identifier }
  return [name?.text ?? 'default']
}

function textOf(specifier: ts.Expression): string {
  return ts.isStringLiteral(specifier) ? specifier.text : ''
}

function slashes(file: string): string {
  return file.replaceAll('\\', '/')
}
