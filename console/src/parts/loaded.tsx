import type { UseQueryResult } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { problemOf } from '../api.ts';
import { useLive } from '../live.tsx';
import { duration } from './figures.ts';
import { Problem } from './problem.tsx';
import { useNow, When } from './when.tsx';

/** After this long without an answer the page says what it waits for. */
const SLOW_MS = 3_000;

/**
 * What a query gives, once it is there. What could not be refreshed, or is of a server that cannot be reached, is greyed with its age, never
 * shown as if it were new.
 */
export function Loaded<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  const { state } = useLive();
  if (query.data === undefined) {
    if (query.isError) return <Problem error={query.error} retry={() => void query.refetch()} />;
    return <Waiting text="Loading…" />;
  }
  const isStale = query.isError || state === 'lost';
  return (
    <>
      {isStale ? (
        <div className="stale-note" role="status">
          This is what was seen <When at={new Date(query.dataUpdatedAt).toISOString()} />.{' '}
          {query.isError ? problemOf(query.error).message : 'The server cannot be reached'}.{' '}
          <button type="button" className="link" onClick={() => void query.refetch()}>
            Try again
          </button>
        </div>
      ) : (
        query.isFetching && <Waiting seenMs={query.dataUpdatedAt} />
      )}
      <div className={isStale ? 'stale' : undefined}>{children(query.data)}</div>
    </>
  );
}

/** Nothing at first where something is shown already; then for how long the server has not answered. */
function Waiting({ text = null, seenMs }: { text?: string | null; seenMs?: number }) {
  const [sinceMs] = useState(Date.now);
  const waitedMs = useNow() - sinceMs;
  if (waitedMs < SLOW_MS && text === null) return null;
  return (
    <p className="quiet loading" role="status">
      {waitedMs < SLOW_MS ? text : `The server has not answered for ${duration(waitedMs)}. `}
      {waitedMs >= SLOW_MS && seenMs !== undefined && (
        <>
          This is what was seen <When at={new Date(seenMs).toISOString()} />.
        </>
      )}
    </p>
  );
}
