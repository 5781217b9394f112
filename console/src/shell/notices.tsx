import { useMutation, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useState } from 'react';
import { Problem } from '../parts/problem.tsx';

export type Notice = { text: string; undo?: { text: string; run: () => Promise<unknown> } };

const Say = createContext<(notice: Notice) => void>(() => {});
/** Says what was done, where it is seen and heard; it stays until something else is said or it is put away. */
export const useSay = (): ((notice: Notice) => void) => useContext(Say);

export function Notices({ children }: { children: ReactNode }) {
  const [notice, setNotice] = useState<Notice | null>(null);
  const queries = useQueryClient();
  const undo = useMutation({
    mutationFn: async (what: NonNullable<Notice['undo']>) => what.run(),
    onSuccess: async () => {
      setNotice({ text: 'Taken back.' });
      await queries.invalidateQueries();
    },
  });
  return (
    <Say
      value={(next) => {
        undo.reset();
        setNotice(next);
      }}
    >
      {children}
      <div className="notices" role="status" aria-live="polite">
        {notice && (
          <div className="notice">
            <span>{notice.text}</span>
            {notice.undo && (
              <button type="button" disabled={undo.isPending} onClick={() => undo.mutate(notice.undo!)}>
                {undo.isPending ? 'Working…' : notice.undo.text}
              </button>
            )}
            <button type="button" onClick={() => setNotice(null)}>
              Close
            </button>
            {undo.isError && <Problem error={undo.error} />}
          </div>
        )}
      </div>
    </Say>
  );
}
