/** Paths of routes: fixed texts, and parameters such as the one in `/v1/models/{endpoint}:predict`. */

export type PathPattern = {
  readonly segments: readonly Segment[];
  readonly isOpen: boolean;
  readonly anyCase: boolean;
};

type Segment =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'parameter'; readonly name: string; readonly before: string; readonly after: string };

export type PathParameters = Readonly<Record<string, string>>;

const PARAMETER = /^([^{}]*)\{([a-zA-Z]+)\}([^{}]*)$/;
const NOTHING: PathParameters = {};

/** @param path a last segment `{rest}` stands for one or more */
export function readPattern(path: string, anyCase: boolean): PathPattern {
  const fixed = (text: string): string => (anyCase ? text.toLowerCase() : text);
  const segments = path.split('/').slice(1);
  const isOpen = segments.at(-1) === '{rest}';
  return {
    anyCase,
    isOpen,
    segments: (isOpen ? segments.slice(0, -1) : segments).map((segment): Segment => {
      const [, before, name, after] = PARAMETER.exec(segment) ?? [];
      return name === undefined
        ? { kind: 'text', text: fixed(segment) }
        : { kind: 'parameter', name, before: fixed(before!), after: fixed(after!) };
    }),
  };
}

/**
 * @param given decoded segments of a path; null for one that is no percent-encoding, which matches nothing
 * @returns what the parameters stand for, each at least one character; null when the path is another
 */
export function matchPattern(pattern: PathPattern, given: readonly (string | null)[]): PathParameters | null {
  const { segments, isOpen, anyCase } = pattern;
  if (isOpen ? given.length <= segments.length : given.length !== segments.length) return null;
  let parameters: Record<string, string> | null = null;
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!;
    const text = given[i];
    if (text === null || text === undefined) return null;
    const compared = anyCase ? text.toLowerCase() : text;
    if (segment.kind === 'text') {
      if (compared !== segment.text) return null;
      continue;
    }
    const { name, before, after } = segment;
    if (!compared.startsWith(before) || !compared.endsWith(after)) return null;
    if (text.length <= before.length + after.length) return null;
    parameters ??= Object.create(null) as Record<string, string>;
    parameters[name] = text.slice(before.length, text.length - after.length);
  }
  return parameters ?? NOTHING;
}

/** Whether two patterns may mean one path. */
export function overlap(one: PathPattern, other: PathPattern): boolean {
  const [few, many] = one.segments.length <= other.segments.length ? [one, other] : [other, one];
  const sameLength = few.segments.length === many.segments.length;
  if (sameLength ? few.isOpen !== many.isOpen : !few.isOpen) return false;
  return few.segments.every((segment, i) => meet(segment, many.segments[i]!));
}

function meet(one: Segment, other: Segment): boolean {
  if (one.kind === 'text' && other.kind === 'text') return one.text.toLowerCase() === other.text.toLowerCase();
  if (one.kind === 'text') return meet(other, one);
  const before = one.before.toLowerCase();
  const after = one.after.toLowerCase();
  if (other.kind === 'text') {
    const text = other.text.toLowerCase();
    return text.length > before.length + after.length && text.startsWith(before) && text.endsWith(after);
  }
  const [b, a] = [other.before.toLowerCase(), other.after.toLowerCase()];
  return (before.startsWith(b) || b.startsWith(before)) && (after.endsWith(a) || a.endsWith(after));
}
