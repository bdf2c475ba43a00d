/** Where the client keeps what must outlive a page: tokens, the sync cursor, what was done offline. */
export interface Store {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
  delete(key: string): Promise<void>;
  /** The keys that begin so, in order. */
  keys(prefix: string): Promise<string[]>;
}

/** A store of this process, for tests and scripts. */
export function memoryStore(): Store {
  const items = new Map<string, unknown>();
  return {
    get: async (key) => items.get(key),
    set: async (key, value) => void items.set(key, structuredClone(value)),
    delete: async (key) => void items.delete(key),
    keys: async (prefix) => [...items.keys()].filter((key) => key.startsWith(prefix)).sort(),
  };
}

/** A store of this browser, which all tabs share and which is there after a restart. */
export function indexedDbStore(name = "parley"): Store {
  let opened: Promise<IDBDatabase> | undefined;
  const open = () =>
    (opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore("items");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    }));
  const inStore = async <T>(
    mode: IDBTransactionMode,
    act: (items: IDBObjectStore) => IDBRequest<T>,
  ): Promise<T> => {
    const transaction = (await open()).transaction("items", mode);
    const request = act(transaction.objectStore("items"));
    return new Promise((resolve, reject) => {
      // A write is only durable once its transaction is.
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  };
  return {
    get: (key) => inStore("readonly", (items) => items.get(key)),
    set: async (key, value) => void (await inStore("readwrite", (items) => items.put(value, key))),
    delete: (key) => inStore("readwrite", (items) => items.delete(key)),
    keys: async (prefix) => {
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const keys = await inStore("readonly", (items) => items.getAllKeys(range));
      return keys.map(String);
    },
  };
}
