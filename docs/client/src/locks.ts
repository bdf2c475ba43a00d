const queues = new Map<string, Promise<unknown>>();

/** Runs one after the other what has the same name, over all tabs where the platform has Web Locks. */
export async function alone<T>(name: string, act: () => Promise<T>): Promise<T> {
  if (globalThis.navigator?.locks) {
    // Wrapped, for the lock's own types would resolve the promise of a promise differently.
    const { value } = await navigator.locks.request(name, async () => ({ value: await act() }));
    return value;
  }
  const turn = (queues.get(name) ?? Promise.resolve()).then(act);
  queues.set(name, turn.catch(() => undefined));
  return turn;
}
