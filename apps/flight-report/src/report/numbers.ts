/** Digits in groups of three. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** One decimal; null is a dash. */
export function decimal(value: number | null): string {
  return value === null ? '–' : value.toFixed(1).replace('-', '−')
}

/** Whole minutes as such, what lies between two of them with a decimal; null is a dash. */
export function minutes(value: number | null): string {
  return value === null ? '–' : String(Math.round(value * 10) / 10).replace('-', '−')
}

/** A share of 0 to 1 as a percentage; null is a dash. */
export function percent(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(1)}%`
}
