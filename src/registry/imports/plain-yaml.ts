import { isUtf8 } from 'node:buffer';
import { type Document, isAlias, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { type FieldError, SlipwayError } from '../../base/errors.ts';
import { faulty, tooLarge } from './file-fault.ts';

const MAX_YAML_CHARACTERS = 256 * 1024;
const MAX_YAML_MARKS = 5000;
/** How often anchors may be repeated: enough for a shared list, too little to blow up. */
const MAX_ALIASES = 100;

/** The line of what a JSON pointer names; null where there are no lines. */
export type LineOf = (pointer: string) => number | null;

/**
 * YAML of uploaded files: no tags, few aliases, of modest size; integers stay exact.
 * @throws SlipwayError `model_invalid` with the line
 */
export function parseYaml(bytes: Uint8Array, path: string, maxBytes: number): { value: unknown; lineOf: LineOf } {
  if (bytes.length > maxBytes) throw tooLarge(path, maxBytes);
  if (!isUtf8(bytes)) throw faulty(path, [{ pointer: '', message: 'is not UTF-8' }]);
  const text = Buffer.from(bytes).toString();
  assertModest(text, path);
  try {
    return parseModestYaml(text, path);
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    throw faulty(path, [
      { pointer: '', message: 'is built in a way that cannot be read, such as a list that contains itself' },
    ]);
  }
}

/**
 * The YAML parser is quadratic in the keys of a map, and slow and large in brackets and escapes (measured: 20,000 keys 4 s, 900 kB of
 * brackets 3.6 s and 0.7 GB). What people write is far below these bounds; large golden sets are JSON, which has none of this.
 */
function assertModest(text: string, path: string): void {
  if (text.length > MAX_YAML_CHARACTERS) throw tooLarge(path, MAX_YAML_CHARACTERS);
  for (const [characters, most] of [
    [':', MAX_YAML_MARKS],
    ['[{', MAX_YAML_MARKS],
    ['\\', MAX_YAML_MARKS],
    ['*&', MAX_YAML_MARKS],
  ] as const) {
    let found = 0;
    for (const character of characters) {
      for (let at = text.indexOf(character); at !== -1; at = text.indexOf(character, at + 1)) found++;
    }
    if (found > most) {
      const message = `has more than ${most} of the characters ${characters}; a golden set of this size belongs into a JSON file`;
      throw faulty(path, [{ pointer: '', message }]);
    }
  }
}

function parseModestYaml(text: string, path: string): { value: unknown; lineOf: LineOf } {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    intAsBigInt: true,
    uniqueKeys: true,
    stringKeys: true,
    version: '1.2',
  });
  const syntax = document.errors.map((error) => ({
    pointer: '',
    message: `line ${lines.linePos(error.pos[0]).line}: ${error.message.split(' at line')[0]!.split('\n')[0]}`,
  }));
  if (syntax.length > 0) throw faulty(path, syntax);
  assertPlain(document, lines, path);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    // Few aliases can stand for very many values when they contain each other.
    throw faulty(path, [{ pointer: '', message: 'its aliases repeat too much' }]);
  }
  return { value: withNumbers(value), lineOf: (pointer) => lineOfPointer(document, lines, pointer) };
}

/** Tags name types of programming languages; nothing here needs one, so none is read. */
function assertPlain(document: Document, lines: LineCounter, path: string): void {
  const faults: FieldError[] = [];
  let aliases = 0;
  visit(document, {
    Node(_key, node) {
      const line = lines.linePos(node.range?.[0] ?? 0).line;
      if (isAlias(node) && ++aliases === MAX_ALIASES + 1) {
        faults.push({ pointer: '', message: `line ${line}: more than ${MAX_ALIASES} aliases` });
      }
      if (node.tag !== undefined)
        faults.push({ pointer: '', message: `line ${line}: the tag ${node.tag} is not allowed` });
      if (isScalar(node) && node.value === '__proto__') {
        faults.push({ pointer: '', message: `line ${line}: the key __proto__ is not allowed` });
      }
    },
  });
  if (faults.length > 0) throw faulty(path, faults);
}

/** Integers came as BigInt to stay exact; those that a number holds become one. */
function withNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(withNumbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withNumbers(item)]));
}

/** The line of what a pointer names, or of the nearest thing around it. */
function lineOfPointer(document: Document, lines: LineCounter, pointer: string): number | null {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  for (; keys.length > 0; keys.pop()) {
    const node = document.getIn(
      keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key)),
      true,
    );
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return null;
}
