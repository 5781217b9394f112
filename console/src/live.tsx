import type { ChangeKind } from '@slipway/sdk';
import { type Query, type QueryClient, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { problemOf } from './api.ts';
import { useProject } from './session.tsx';

/** First words of query keys that each kind of change makes old. */
const MADE_OLD: Record<ChangeKind, readonly string[]> = {
  registry: ['registry', 'endpoints', 'rollouts', 'history', 'access'],
  validation: ['registry'],
  rollouts: ['rollouts', 'endpoints', 'history'],
  observed: ['endpoints', 'health'],
  traffic: ['traffic'],
};
/** Of these a stream tells; the rest is asked when somebody looks. */
const TOLD = new Set(Object.values(MADE_OLD).flat());
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

/** `lost`: the server cannot be reached, so what is shown may be old. `off`: the key may not listen. */
export type Liveness = {
  state: 'connecting' | 'live' | 'lost' | 'paused' | 'off';
  since: number;
  pause: (on: boolean) => void;
};
const Live = createContext<Liveness>({ state: 'connecting', since: 0, pause: () => {} });
export const useLive = (): Liveness => useContext(Live);

/**
 * Asks anew what the words name. What is being asked already is not cut off, or a slow server would never be heard to the end: it is asked
 * once more after, because the answer may be from before the change.
 */
async function refresh(queries: QueryClient, words: ReadonlySet<string>): Promise<void> {
  const isOld = ({ queryKey }: Query) => words.has(String(queryKey[0]));
  const underWay = new Set(queries.getQueryCache().findAll({ predicate: isOld, fetchStatus: 'fetching' }));
  await queries.invalidateQueries({ predicate: isOld }, { cancelRefetch: false });
  if (underWay.size > 0)
    await queries.invalidateQueries({ predicate: (query) => underWay.has(query) }, { cancelRefetch: false });
}

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
    tell('connecting');
    const stop = new AbortController();
    const listen = async () => {
      let failures = 0;
      while (!stop.signal.aborted) {
        try {
          for await (const changed of client.events({ signal: stop.signal })) {
            if (changed.length === 0) {
              failures = 0;
              tell('live');
            }
            // What happened while nobody listened is not told again.
            const old = changed.length === 0 ? TOLD : new Set(changed.flatMap((kind) => MADE_OLD[kind] ?? []));
            void refresh(queries, old);
          }
        } catch (error) {
          // Said in the header; what is shown says how old it is.
          if (problemOf(error).status === 403) return tell('off');
        }
        if (stop.signal.aborted) return;
        if (failures === 1) tell('lost');
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++) * (0.5 + Math.random() / 2);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    };
    void listen();
    return () => stop.abort();
  }, [project, paused, hidden]);

  return <Live value={{ state, since, pause: setPaused }}>{children}</Live>;
}
