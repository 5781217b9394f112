import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { clientOf } from '../api.ts';
import { Problem } from '../parts/problem.tsx';

/** The key is sent once; a cookie that no script sees stands for it after. The page keeps it nowhere. */
export function Login() {
  const [key, setKey] = useState('');
  const field = useRef<HTMLInputElement>(null);
  const queries = useQueryClient();
  const login = useMutation({
    mutationFn: () => clientOf('default').session.open(key.trim()),
    onSuccess: async () => {
      setKey('');
      await queries.resetQueries();
    },
    onError: () => field.current?.focus(),
  });
  useEffect(() => {
    document.title = 'Log in · Slipway';
    field.current?.focus();
  }, []);
  return (
    <main className="centred login">
      <h1>Slipway</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          login.mutate();
        }}
      >
        <label className="field">
          API key
          <input
            ref={field}
            name="key"
            type="password"
            autoComplete="current-password"
            spellCheck={false}
            required
            value={key}
            aria-invalid={login.isError}
            aria-describedby="key-help"
            onChange={(event) => setKey(event.target.value)}
          />
        </label>
        <p id="key-help" className="small quiet">
          The first one, with every right, is in <code>admin.key</code> in the data folder:{' '}
          <code>cat .slipway/admin.key</code>
        </p>
        {login.isError && <Problem error={login.error} />}
        <button type="submit" className="main" disabled={login.isPending}>
          {login.isPending ? 'Looking…' : 'Log in'}
        </button>
      </form>
    </main>
  );
}
