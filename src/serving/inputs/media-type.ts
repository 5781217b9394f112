export type MediaType = {
  /** Type and subtype, in small letters. */
  readonly name: string;
  /** Parameters by their names in small letters; values without quotes. */
  readonly parameters: ReadonlyMap<string, string>;
};

const PARAMETER = /;\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;]*)\s*/g;

/** A Content-Type (RFC 9110 §8.3.1). */
export function parseMediaType(text: string): MediaType {
  const cut = text.indexOf(';');
  const name = (cut === -1 ? text : text.slice(0, cut)).trim().toLowerCase();
  const parameters = new Map<string, string>();
  if (cut !== -1) {
    for (const [, key, value] of text.slice(cut).matchAll(PARAMETER)) {
      parameters.set(key!.toLowerCase(), value!.startsWith('"') ? value!.slice(1, -1).replace(/\\(.)/g, '$1') : value!);
    }
  }
  return { name, parameters };
}
