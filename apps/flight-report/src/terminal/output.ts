/**
 * Lets the program go on when its output cannot be written any more, for what a run has done is in its log: whoever read it may
 * have left (`... | head`), which is well; of anything else, such as a full disk, it tells once, and exits with 1 in the end.
 */
export function surviveLostOutput(tell: (error: Error) => void): void {
  let isLost = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || isLost) return
    isLost = true
    tell(error)
  })
  process.once('exit', (code) => {
    if (isLost && code === 0) process.exitCode = 1
  })
}
