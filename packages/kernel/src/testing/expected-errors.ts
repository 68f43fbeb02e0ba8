import type { StoreErrorCode } from '@varve/store'
import type { KernelErrorCode } from '../errors.ts'

/** What an error of the kernel looks like, for `toMatchObject`. */
export function kernelError(code: KernelErrorCode): { readonly name: 'KernelError'; readonly code: KernelErrorCode } {
  return { name: 'KernelError', code }
}

/** What an error of the store looks like, for `toMatchObject`. */
export function storeError(code: StoreErrorCode): { readonly name: 'StoreError'; readonly code: StoreErrorCode } {
  return { name: 'StoreError', code }
}
