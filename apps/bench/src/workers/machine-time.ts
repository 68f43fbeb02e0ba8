/** Milliseconds by the monotonic clock of the machine, which all its processes share: their instants can be compared. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
