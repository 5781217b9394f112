/** A value of an input or output, whatever it is: text of the server is hostile and stays text. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint') return String(value);
  if (value === undefined) return '';
  return JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? '';
}

const LONG = 60;

export function Value({ value }: { value: unknown }) {
  const text = valueText(value);
  if (text.length <= LONG) return <code className="value">{text === '' ? '""' : text}</code>;
  return (
    <details className="value">
      <summary>
        <code>{text.slice(0, LONG)}…</code>
      </summary>
      <pre>{text}</pre>
    </details>
  );
}
