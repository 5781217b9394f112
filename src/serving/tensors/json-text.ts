/**
 * JSON text of an answer. Unlike `JSON.stringify` it prints BigInt digit by digit and non-finite numbers as the strings "NaN", "Infinity"
 * and "-Infinity" instead of null, so that an answer never loses a value.
 */
export function writeJson(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? `${value}` : `"${value}"`;
    case 'bigint':
      return value.toString();
    case 'string':
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? writeArray(value) : writeObject(value as Record<string, unknown>);
    default:
      return 'null';
  }
}

function writeArray(items: readonly unknown[]): string {
  let text = '[';
  for (let i = 0; i < items.length; i++) text += i === 0 ? writeJson(items[i]) : `,${writeJson(items[i])}`;
  return `${text}]`;
}

function writeObject(object: Record<string, unknown>): string {
  let text = '{';
  for (const key in object) {
    const item = object[key];
    if (item === undefined) continue;
    text += `${text.length === 1 ? '' : ','}${JSON.stringify(key)}:${writeJson(item)}`;
  }
  return `${text}}`;
}
