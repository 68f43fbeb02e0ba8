/** A rate or an amount, in whole numbers. */
export function rate(perSecond: number): string {
  return Math.round(perSecond).toLocaleString('en-US')
}

/** A ratio: at least two figures of it. */
export function ratio(value: number): string {
  return value < 0.1 ? value.toPrecision(2) : value.toFixed(2)
}
