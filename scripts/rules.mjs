// Checks the rules of the architecture over all packages: node scripts/rules.mjs
import path from 'node:path'
import { checkRules } from './dependency-rules.ts'
import { readWorkspace } from './workspace.ts'

const violations = checkRules(readWorkspace(path.join(import.meta.dirname, '..')))
for (const violation of violations) console.error(violation)
process.exitCode = violations.length === 0 ? 0 : 1
