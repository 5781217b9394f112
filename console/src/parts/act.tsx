import * as Ariakit from '@ariakit/react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useId, useState } from 'react';
import { useSay } from '../shell/notices.tsx';
import { Problem } from './problem.tsx';

export type ActProps = {
  /** On the button and as the title. */
  text: string;
  kind?: 'main' | 'danger';
  /** Why it cannot be done now; the button then says so. */
  refusal?: string | null;
  /** What will happen, with what is known now. */
  consequence: ReactNode;
  /** For severe actions: what has to be typed before. */
  typeName?: string;
  withReason?: boolean;
  /** Makes the change; the answer of the server is what is shown after. */
  run: (reason: string) => Promise<unknown>;
  /** Said when it is done. */
  done: string;
  /** Takes it back. */
  undo?: { text: string; run: () => Promise<unknown> };
  children?: ReactNode;
};

/** A change: a button, what it will do, and what came of it. Nothing is shown as done before the server says so. */
export function Act(props: ActProps) {
  const { text, kind, refusal = null, consequence, typeName, withReason, run, done, undo, children } = props;
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState('');
  const [reason, setReason] = useState('');
  const id = useId();
  const say = useSay();
  const queries = useQueryClient();
  const change = useMutation({
    mutationFn: () => run(reason.trim()),
    onSuccess: async () => {
      setOpen(false);
      say({ text: done, ...(undo ? { undo } : {}) });
      await queries.invalidateQueries();
    },
  });
  const close = () => {
    if (change.isPending) return;
    setOpen(false);
    setTyped('');
    change.reset();
  };
  if (refusal !== null) {
    return (
      <span className="refused">
        <button type="button" className={kind} aria-disabled="true" aria-describedby={`${id}-why`} title={refusal}>
          {text}
        </button>
        <span id={`${id}-why`} className="hidden">
          {refusal}
        </span>
      </span>
    );
  }
  return (
    <>
      <button type="button" className={kind} onClick={() => setOpen(true)}>
        {text}
      </button>
      <Ariakit.Dialog open={open} onClose={close} className="dialog" backdrop={<div className="backdrop" />}>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (typeName === undefined || typed === typeName) change.mutate();
          }}
        >
          <Ariakit.DialogHeading className="dialog-title">{text}</Ariakit.DialogHeading>
          <div className="consequence">{consequence}</div>
          {children}
          {withReason && (
            <label className="field">
              Reason, for the history
              <input value={reason} maxLength={1000} onChange={(event) => setReason(event.target.value)} />
            </label>
          )}
          {typeName !== undefined && (
            <label className="field">
              <span>
                Type <strong>{typeName}</strong> to confirm
              </span>
              <input
                value={typed}
                autoComplete="off"
                spellCheck={false}
                onChange={(event) => setTyped(event.target.value)}
              />
            </label>
          )}
          {change.isError && <Problem error={change.error} />}
          <div className="dialog-actions">
            <button type="button" onClick={close}>
              Cancel
            </button>
            <button
              type="submit"
              className={kind === 'danger' ? 'danger' : 'main'}
              disabled={change.isPending || (typeName !== undefined && typed !== typeName)}
            >
              {change.isPending ? 'Working…' : text}
            </button>
          </div>
        </form>
      </Ariakit.Dialog>
    </>
  );
}
