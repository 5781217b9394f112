import { useEffect, useState } from 'react';
import { duration } from './figures.ts';

let nowMs = Date.now();
const watchers = new Set<(ms: number) => void>();
// One clock for all ages on the page.
setInterval(() => {
  if (document.hidden) return;
  nowMs = Date.now();
  for (const tell of watchers) tell(nowMs);
}, 1000);

/** The time now, to the second. */
export function useNow(): number {
  const [now, setNow] = useState(nowMs);
  useEffect(() => {
    watchers.add(setNow);
    return () => void watchers.delete(setNow);
  }, []);
  return now;
}

export function localTime(at: string | number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** How long ago; the exact time, local and UTC, on hover and to screen readers. */
export function When({ at }: { at: string | null | undefined }) {
  const now = useNow();
  if (at === null || at === undefined) return <span className="quiet">never</span>;
  const ageMs = now - Date.parse(at);
  const age =
    ageMs >= 0
      ? ageMs < 2000
        ? 'just now'
        : `${duration(ageMs)} ago`
      : ageMs > -2000
        ? 'just now'
        : `in ${duration(-ageMs)}`;
  const utc = new Date(at)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC');
  return (
    <time dateTime={at} title={`${localTime(at)} · ${utc}`}>
      {age}
    </time>
  );
}
