import type { Client, Me } from '@slipway/sdk';
import { useQuery } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext } from 'react';
import { useSearchText } from './address.ts';
import { clientOf, problemOf } from './api.ts';
import { Problem } from './parts/problem.tsx';

export type Verb = 'read' | 'predict' | 'deploy' | 'promote' | 'admin';
const INCLUDES: Record<Verb, readonly string[]> = {
  read: ['read', 'deploy', 'promote', 'admin'],
  predict: ['predict', 'admin'],
  deploy: ['deploy', 'admin'],
  promote: ['promote', 'admin'],
  admin: ['admin'],
};

/** While there is no answer to who asks. */
const TRY_AGAIN_MS = 3_000;

const Session = createContext<Me | null>(null);

export function SessionProvider({ login, children }: { login: ReactNode; children: ReactNode }) {
  const me = useQuery({
    queryKey: ['me'],
    queryFn: () => clientOf('default').me(),
    staleTime: 60_000,
    // A server that is ill or away comes back without anybody at the page.
    refetchInterval: ({ state }) =>
      state.error !== null && problemOf(state.error).status !== 401 ? TRY_AGAIN_MS : false,
  });
  if (me.isPending) return <p className="quiet centred">Loading…</p>;
  if (me.data) return <Session value={me.data}>{children}</Session>;
  const { status } = problemOf(me.error);
  if (status === 401) return login;
  return (
    <main className="centred">
      <h1>{status === 0 ? 'The server does not answer' : 'The server cannot answer now'}</h1>
      <Problem error={me.error} retry={() => void me.refetch()} />
      <p className="quiet">This page asks again every {TRY_AGAIN_MS / 1000} seconds.</p>
    </main>
  );
}

export function useMe(): Me {
  const me = useContext(Session);
  if (me === null) throw new Error('there is no session here');
  return me;
}

/** The project that is looked at, and the client for it. */
export function useProject(): { project: string; client: Client } {
  const me = useMe();
  const asked = useSearchText('project');
  const project = me.project ?? asked ?? 'default';
  return { project, client: clientOf(project) };
}

/** Why the key may not do this, in words; null when it may. */
export function useRefusal(verb: Verb, model?: string): string | null {
  const { actor, scopes } = useMe();
  const may = scopes.some((scope) => {
    const [has, only] = scope.split(':');
    return INCLUDES[verb].includes(has!) && (only === undefined || only === model);
  });
  if (may) return null;
  return `Your key ${actor.replace(/^key:/, '')} has no scope ${verb}${model === undefined ? '' : ` for ${model}`}.`;
}
