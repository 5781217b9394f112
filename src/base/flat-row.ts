/**
 * An object as the columns of a table: an object inside becomes one column a key, `probabilities.good`.
 * @param options.vectors whether a list becomes one column a value, `embedding.0`; a list of lists stays JSON
 * @param options.toJson text of what has no columns
 */
export function flatRow(
  row: Readonly<Record<string, unknown>>,
  options: { readonly vectors: boolean; readonly toJson: (value: unknown) => string },
): Record<string, unknown> {
  const { vectors, toJson } = options;
  const flat: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row)) {
    if (vectors && Array.isArray(value) && value.every((item) => typeof item !== 'object')) {
      for (const [at, item] of value.entries()) flat[`${name}.${at}`] = item;
    } else if (Array.isArray(value)) flat[name] = toJson(value);
    else if (typeof value === 'object' && value !== null) {
      for (const [inner, item] of Object.entries(value)) {
        flat[`${name}.${inner}`] = typeof item === 'object' && item !== null ? toJson(item) : item;
      }
    } else flat[name] = value;
  }
  return flat;
}
