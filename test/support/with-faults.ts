/** The same object, private fields and all, but for the methods that a fault changes. */
export function withFaults<T extends object>(real: T, faults: Partial<T>): T {
  return new Proxy(real, {
    get(target, name) {
      const value: unknown = Reflect.get(name in faults ? faults : target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
