import type { ChangeKind } from '@slipway/sdk';
import { useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { useProject } from './session.tsx';

/** First words of query keys that each kind of change makes old. */
const MADE_OLD: Record<ChangeKind, readonly string[]> = {
  registry: ['registry', 'endpoints', 'rollouts', 'history', 'access'],
  validation: ['registry'],
  rollouts: ['rollouts', 'endpoints', 'history'],
  observed: ['endpoints', 'health'],
  traffic: ['traffic'],
};
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

export type Liveness = { state: 'live' | 'connecting' | 'paused'; since: number; pause: (on: boolean) => void };
const Live = createContext<Liveness>({ state: 'connecting', since: 0, pause: () => {} });
export const useLive = (): Liveness => useContext(Live);

/** Listens to what changes and lets queries ask anew. Nothing is asked while the page is hidden or paused. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const { client, project } = useProject();
  const queries = useQueryClient();
  const [state, setState] = useState<Liveness['state']>('connecting');
  const [since, setSince] = useState(Date.now());
  const [paused, setPaused] = useState(false);
  const [hidden, setHidden] = useState(document.hidden);

  useEffect(() => {
    const look = () => setHidden(document.hidden);
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another project is another stream
  useEffect(() => {
    const tell = (next: Liveness['state']) => {
      setState(next);
      setSince(Date.now());
    };
    if (paused || hidden) {
      tell('paused');
      return;
    }
    const stop = new AbortController();
    const listen = async () => {
      let failures = 0;
      while (!stop.signal.aborted) {
        try {
          for await (const changed of client.events({ signal: stop.signal })) {
            if (changed.length === 0) {
              failures = 0;
              tell('live');
              // What happened while nobody listened is not told again.
              void queries.invalidateQueries();
            }
            const old = new Set(changed.flatMap((kind) => MADE_OLD[kind] ?? []));
            if (old.size > 0) {
              void queries.invalidateQueries({ predicate: ({ queryKey }) => old.has(String(queryKey[0])) });
            }
          }
        } catch {
          // said in the header; what is shown says how old it is
        }
        if (stop.signal.aborted) return;
        if (failures > 0) tell('connecting');
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++) * (0.5 + Math.random() / 2);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    };
    void listen();
    return () => stop.abort();
  }, [project, paused, hidden]);

  return <Live value={{ state, since, pause: setPaused }}>{children}</Live>;
}
