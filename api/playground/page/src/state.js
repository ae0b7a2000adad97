// Owns the smallest thing that remembers a value and tells React when it is another one.
import { useSyncExternalStore } from 'react';

/** A value that components can `use`, and anything can `get` and `set`. */
export function state(value) {
  const listeners = new Set();
  const get = () => value;
  const subscribe = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    get,
    set(next) {
      value = next;
      for (const listener of listeners) listener();
    },
    use: () => useSyncExternalStore(subscribe, get),
  };
}
