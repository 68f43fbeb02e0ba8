/**
 * Sealed values, each under an id of its own. The store keeps bytes and opens nothing: whoever puts them has encrypted them.
 *
 * What was erased stays erased: erasing leaves the id behind without its value, so no slow or repeated put brings one back.
 * Values belong to no run, since forks and children refer to those of others; removing a run leaves them.
 */
export interface SecretStore {
  /**
   * Keeps a value for good. The same bytes once more change nothing, so a put whose answer was lost is simply repeated.
   * The bytes are copied.
   *
   * @throws StoreError `SECRET_CONFLICT` when the id holds other bytes, `SECRET_ERASED` when it was erased;
   * `LIMIT_EXCEEDED` above {@link Limits.sealedBytes}; `INVALID_ARGUMENT` for no bytes, and for what is not a Uint8Array.
   */
  put(id: string, sealed: Uint8Array): Promise<void>

  /** A copy of the value; undefined when there is none, and when it was erased. */
  get(id: string): Promise<Uint8Array | undefined>

  /** Deletes the value and bars its id, also one that holds nothing yet. Once more changes nothing. */
  erase(id: string): Promise<void>
}
