import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

const tests = ['**/*.test.ts', 'test/**/*.ts']

const nodeGlobals = [
  'console',
  'process',
  'performance',
  'setTimeout',
  'clearTimeout',
  'URL',
  'AbortController',
  'Buffer',
]

/** They import what only `bench:peers` installs. */
const peers = ['dbos', 'langgraph', 'openworkflow', 'restate'].map((name) => `apps/bench/peers/${name}.ts`)

export default defineConfig(
  globalIgnores(['**/dist/', '**/.cache/', '.tools/', 'coverage/', '**/.turbo/', '**/.varve/', ...peers]),
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // Looks at every assignment, for a seventh of the time, for enums, which another rule forbids.
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      // Would ask for the `!` that another rule forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // Implementations of an asynchronous port are async even where they have nothing to wait for: their throws reject.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowNullish: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: Object.fromEntries(nodeGlobals.map((name) => [name, 'readonly'])) },
  },
  {
    files: ['**/*.{ts,js,mjs}'],
    rules: {
      'max-lines': ['error', 400],
      'max-lines-per-function': ['error', 60],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Export by name.' },
        { selector: 'TSEnumDeclaration', message: 'Use a union of literals.' },
        { selector: 'TSModuleDeclaration[kind="namespace"]', message: 'Use a module.' },
      ],
    },
  },
  {
    files: tests,
    rules: {
      'max-lines': 'off',
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  // Their tools ask for a default export.
  {
    files: ['*.config.{ts,js}', 'packages/*/*.config.ts', 'test/*/{global-setup,vitest.config}.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
)
