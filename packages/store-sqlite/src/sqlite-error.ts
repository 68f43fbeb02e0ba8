import { isStoreError, StoreError } from '@varve/store'

/** True while somebody else holds a lock: worth another try. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error)
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')
}

/** True where the disk had no room for what was to be written. */
export function isFull(error: unknown): boolean {
  return codeOf(error).startsWith('SQLITE_FULL')
}

/** What the driver says of it. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The error of the ports for what the driver threw. */
export function sqliteError(error: unknown): StoreError {
  if (isStoreError(error)) return error
  const code = codeOf(error)
  const detail = textOf(error)
  const [as, remedy] = meaningOf(code, detail)
  return new StoreError(as, `${remedy} (${detail})`, { cause: error })
}

function meaningOf(
  code: string,
  detail: string,
): readonly ['NOT_A_STORE' | 'STORE_CLOSED' | 'STORE_UNREACHABLE' | 'STORE_FAILED', string] {
  if (code === 'SQLITE_NOTADB') return ['NOT_A_STORE', 'the file is not a SQLite database; choose another path']
  if (code.startsWith('SQLITE_CANTOPEN') || isFileSystem(code)) {
    return ['STORE_UNREACHABLE', 'the database file cannot be opened; check its path and its rights']
  }
  if (code.startsWith('SQLITE_READONLY'))
    return ['STORE_FAILED', 'the database may not be written; check the rights of file and folder']
  if (code.startsWith('SQLITE_FULL')) return ['STORE_FAILED', 'the disk is full; nothing was written']
  if (code.startsWith('SQLITE_CORRUPT')) return ['STORE_FAILED', 'the database is damaged; restore it from a backup']
  if (detail.includes('connection is not open')) return ['STORE_CLOSED', 'the database was closed; open a new store']
  return ['STORE_FAILED', 'the database refused']
}

function isFileSystem(code: string): boolean {
  return ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'EROFS', 'EEXIST'].includes(code)
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}
