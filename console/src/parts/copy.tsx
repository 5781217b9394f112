import { useState } from 'react';

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the page is not served from a trustworthy address; the text can be selected
  }
}

/** A short text that is copied whole. */
export function Copy({ text, shown }: { text: string; shown?: string }) {
  const [done, setDone] = useState(false);
  return (
    <button
      type="button"
      className="copy"
      title={`Copy ${text}`}
      onClick={async () => {
        setDone(await copy(text));
        setTimeout(() => setDone(false), 1500);
      }}
    >
      <code>{shown ?? text}</code>
      <span aria-live="polite">{done ? ' copied' : ''}</span>
    </button>
  );
}

/** Lines to paste elsewhere. */
export function Code({ title, text }: { title?: string; text: string }) {
  const [done, setDone] = useState(false);
  return (
    <figure className="code">
      <figcaption>
        <span>{title}</span>
        <button
          type="button"
          className="small"
          onClick={async () => {
            setDone(await copy(text));
            setTimeout(() => setDone(false), 1500);
          }}
        >
          {done ? 'Copied' : 'Copy'}
        </button>
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{text}</pre>
    </figure>
  );
}
