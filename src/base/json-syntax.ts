/** What may come next at a place of a JSON text. */
type Expected = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma or end';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * Where a text stops being JSON: the parser of V8 tells the place of some faults only. Only for texts that do not parse; linear.
 * @returns the offset of the first character that cannot stand there; the length of the text when it ends too early
 */
export function findSyntaxError(text: string): number {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'value';
  let at = skipSpace(text, 0);
  while (at < text.length) {
    const char = text[at]!;
    if (expected === 'comma or end') {
      const inside = open.at(-1);
      if (inside === undefined) return at;
      if (char === ',') expected = inside === '{' ? 'key' : 'value';
      else if (char === (inside === '{' ? '}' : ']')) open.pop();
      else return at;
      at += 1;
    } else if (expected === 'colon') {
      if (char !== ':') return at;
      expected = 'value';
      at += 1;
    } else if ((expected === 'key or end' && char === '}') || (expected === 'value or end' && char === ']')) {
      open.pop();
      expected = 'comma or end';
      at += 1;
    } else if (expected === 'key' || expected === 'key or end') {
      if (char !== '"') return at;
      const { end, isWhole } = readString(text, at);
      if (!isWhole) return end;
      at = end;
      expected = 'colon';
    } else if (char === '{' || char === '[') {
      open.push(char);
      expected = char === '{' ? 'key or end' : 'value or end';
      at += 1;
    } else {
      const { end, isWhole } = char === '"' ? readString(text, at) : readPlain(text, at);
      if (!isWhole) return end;
      at = end;
      expected = 'comma or end';
    }
    at = skipSpace(text, at);
  }
  return text.length;
}

/** Line and column, both from 1. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let lineStart = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) {
    line += 1;
    lineStart = at + 1;
  }
  return { line, column: offset - lineStart + 1 };
}

type Read = { readonly end: number; readonly isWhole: boolean };

function readPlain(text: string, at: number): Read {
  for (const pattern of [NUMBER, WORD]) {
    pattern.lastIndex = at;
    if (pattern.test(text)) return { end: pattern.lastIndex, isWhole: true };
  }
  return { end: at, isWhole: false };
}

/** @param start where the opening quote stands */
function readString(text: string, start: number): Read {
  let at = start + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === 0x22) return { end: at + 1, isWhole: true };
    if (code < 0x20) return { end: at, isWhole: false };
    if (code === 0x5c) {
      ESCAPE.lastIndex = at;
      if (!ESCAPE.test(text)) return { end: at, isWhole: false };
      at = ESCAPE.lastIndex;
    } else at += 1;
  }
  return { end: text.length, isWhole: false };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && ' \t\n\r'.includes(text[at]!)) at += 1;
  return at;
}
