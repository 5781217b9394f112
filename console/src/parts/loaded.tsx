import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { problemOf } from '../api.ts';
import { Copy } from './copy.tsx';
import { When } from './when.tsx';

/** Code, reason, what to do, request id. */
export function Problem({ error, retry }: { error: unknown; retry?: (() => void) | undefined }) {
  const { message, code, hint, requestId, problem } = problemOf(error);
  return (
    <div className="problem" role="alert">
      <p>
        <strong>{message}</strong>
      </p>
      {hint && <p>{hint}</p>}
      {problem?.errors && problem.errors.length > 0 && (
        <ul>
          {problem.errors.map((one) => (
            <li key={`${one.pointer} ${one.message}`}>
              <code>{one.pointer}</code> {one.message}
            </li>
          ))}
        </ul>
      )}
      <p className="quiet small">
        <code>{code}</code>
        {requestId && (
          <>
            {' '}
            · request <Copy text={requestId} />
          </>
        )}
      </p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** What a query gives, once it is there. What could not be refreshed is shown greyed with its age, never as if it were new. */
export function Loaded<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  if (query.data === undefined) {
    if (query.isError) return <Problem error={query.error} retry={() => void query.refetch()} />;
    return (
      <p className="quiet loading" role="status">
        Loading…
      </p>
    );
  }
  if (!query.isError && !query.isRefetchError) return children(query.data);
  return (
    <>
      <div className="stale-note" role="status">
        This is what was seen <When at={new Date(query.dataUpdatedAt).toISOString()} />.{' '}
        {problemOf(query.error).message}.{' '}
        <button type="button" className="link" onClick={() => void query.refetch()}>
          Try again
        </button>
      </div>
      <div className="stale">{children(query.data)}</div>
    </>
  );
}
