import { useEffect, useState } from 'react';
import { clientOf } from '../api.ts';
import { Problem } from '../parts/problem.tsx';

/** No more lines are kept than can be looked through. */
const MOST = 500;

type Line = { key: number; text: string; level: string };
let lastKey = 0;

export function Logs() {
  const [lines, setLines] = useState<Line[]>([]);
  const [follow, setFollow] = useState(true);
  const [error, setError] = useState<unknown>(null);
  const [word, setWord] = useState('');
  useEffect(() => {
    const stop = new AbortController();
    const read = async () => {
      setError(null);
      let waiting: Line[] = [];
      let isDue = false;
      const show = () => {
        isDue = false;
        const more = waiting;
        waiting = [];
        setLines((before) => [...before, ...more].slice(-MOST));
      };
      try {
        setLines([]);
        for await (const line of clientOf('default').logs({ follow, lines: 200, signal: stop.signal })) {
          waiting.push(lineOf(line));
          // Lines come in bursts: drawn a few times a second, not one by one.
          if (!isDue) setTimeout(show, 200);
          isDue = true;
        }
        show();
      } catch (thrown) {
        if (!stop.signal.aborted) setError(thrown);
      }
    };
    void read();
    return () => stop.abort();
  }, [follow]);
  const found = word === '' ? lines : lines.filter((line) => line.text.toLowerCase().includes(word.toLowerCase()));
  return (
    <>
      <div className="row-of">
        <label className="inline">
          Only lines with <input value={word} onChange={(event) => setWord(event.target.value)} />
        </label>
        <label className="check">
          <input type="checkbox" checked={follow} onChange={(event) => setFollow(event.target.checked)} />
          Follow
        </label>
      </div>
      {error !== null && <Problem error={error} retry={() => setFollow(!follow)} />}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <section className="log" tabIndex={0} aria-label="Log lines">
        {found.map((line) => (
          <code key={line.key} className={`line ${line.level}`}>
            {line.text}
          </code>
        ))}
      </section>
    </>
  );
}

const LEVELS: Record<string, string> = { 40: 'warn', 50: 'bad', 60: 'bad', warn: 'warn', error: 'bad' };

function lineOf(text: string): Line {
  lastKey += 1;
  try {
    const { time, level, role, name, msg, ...rest } = JSON.parse(text) as Record<string, unknown>;
    const more = Object.keys(rest).length === 0 ? '' : ` ${JSON.stringify(rest)}`;
    const at = typeof time === 'string' || typeof time === 'number' ? new Date(time).toLocaleTimeString() : '';
    return {
      key: lastKey,
      text: `${at} ${String(role ?? name ?? '')} ${String(msg ?? '')}${more}`,
      level: LEVELS[String(level)] ?? '',
    };
  } catch {
    return { key: lastKey, text, level: '' };
  }
}
