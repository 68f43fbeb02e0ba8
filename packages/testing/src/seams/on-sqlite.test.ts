import { survivesOn } from './survives-on.ts'
import { openSqlite } from './stores.ts'

survivesOn('SQLite', openSqlite)
