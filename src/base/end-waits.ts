/** Callers that wait for the end of something in the background, each for a time at most. */
export type EndWaits = {
  /** Returns when `tell` names this id, or after `ms` milliseconds. */
  wait(id: string, ms: number): Promise<void>;
  tell(id: string): void;
  tellAll(): void;
};

export function createEndWaits(): EndWaits {
  const waiting = new Map<string, Set<() => void>>();

  const tell = (id: string): void => {
    for (const resolve of waiting.get(id) ?? []) resolve();
    waiting.delete(id);
  };

  return {
    tell,
    tellAll() {
      for (const id of waiting.keys()) tell(id);
    },
    wait(id, ms) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const all = waiting.get(id) ?? new Set();
      waiting.set(id, all.add(resolve));
      const timer = setTimeout(resolve, ms);
      return promise.finally(() => {
        clearTimeout(timer);
        all.delete(resolve);
        if (all.size === 0 && waiting.get(id) === all) waiting.delete(id);
      });
    },
  };
}
