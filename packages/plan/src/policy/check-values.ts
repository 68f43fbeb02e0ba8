export function checkValues(_what: string, _value: unknown, _policy: unknown): void {
  // The checks come with the policy.
}
