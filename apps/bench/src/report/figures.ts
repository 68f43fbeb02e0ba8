/** A figure with as many digits as are worth reading. */
export function figureText(value: number): string {
  if (value === 0) return '0'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US')
  return Math.abs(value) < 0.1 ? value.toPrecision(2) : value.toFixed(2)
}
