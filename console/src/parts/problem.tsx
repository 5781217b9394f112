import { problemOf } from '../api.ts';
import { Copy } from './copy.tsx';

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
