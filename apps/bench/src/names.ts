import { InvalidArgumentError } from 'commander'

/** Reads names that are separated by commas, each of them once. @throws InvalidArgumentError for one that is not known. */
export function namesOf<Name extends string>(known: readonly Name[]): (text: string) => readonly Name[] {
  return (text) =>
    [...new Set(text.split(','))].map((each) => {
      const name = known.find((one) => one === each.trim())
      if (name === undefined) throw new InvalidArgumentError(`There is no ${each}.`)
      return name
    })
}
