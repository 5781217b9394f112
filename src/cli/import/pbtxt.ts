/** The text form of protocol buffers (protobuf.dev/reference/protobuf/textformat-spec), as far as config.pbtxt needs it. */
import { CliError } from '../cli-error.ts';

export type PbValue = string | number | boolean | PbMessage;
/** By field name: its values, in order. */
export type PbMessage = { readonly line: number; readonly fields: ReadonlyMap<string, readonly PbValue[]> };

const TOKEN =
  /\s+|#[^\n]*|(?<text>"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])*')|(?<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?f?(?![\w.]))|(?<word>[A-Za-z_][\w.-]*)|(?<mark>[{}<>[\]:,;])/y;
const MOST_DEPTH = 32;

type Token = { readonly kind: 'text' | 'number' | 'word' | 'mark'; readonly value: string; readonly line: number };

/** @throws CliError with the line */
export function parsePbtxt(source: string, path: string): PbMessage {
  const tokens = tokensOf(source, path);
  let at = 0;
  const fault = (message: string): CliError => faultAt(path, tokens[at]?.line ?? tokens.at(-1)?.line ?? 1, message);
  const isMark = (value: string): boolean => tokens[at]?.kind === 'mark' && tokens[at]!.value === value;
  const takeMark = (...values: string[]): boolean => {
    if (!values.some(isMark)) return false;
    at++;
    return true;
  };

  const root = message(null, 0);
  if (at < tokens.length) throw fault('something follows its end');
  return root;

  function message(end: string | null, depth: number): PbMessage {
    if (depth > MOST_DEPTH) throw fault('it is nested too deeply');
    const line = tokens[at]?.line ?? 1;
    const fields = new Map<string, PbValue[]>();
    while (at < tokens.length && !(end !== null && isMark(end))) {
      const token = tokens[at]!;
      if (token.kind !== 'word') throw fault(`${JSON.stringify(token.value)} is no name of a field`);
      at++;
      const hasColon = takeMark(':');
      const found = fields.get(token.value) ?? [];
      found.push(...values(hasColon, depth));
      fields.set(token.value, found);
      takeMark(',', ';');
    }
    if (end !== null && !takeMark(end)) throw fault(`a ${end} is missing`);
    return { line, fields };
  }

  function values(hasColon: boolean, depth: number): PbValue[] {
    if (!takeMark('[')) return [value(hasColon, depth)];
    const found: PbValue[] = [];
    while (!isMark(']')) {
      found.push(value(hasColon, depth));
      if (!takeMark(',')) break;
    }
    if (!takeMark(']')) throw fault('a ] is missing');
    return found;
  }

  function value(hasColon: boolean, depth: number): PbValue {
    if (takeMark('{')) return message('}', depth + 1);
    if (takeMark('<')) return message('>', depth + 1);
    const token = tokens[at];
    if (token === undefined || !hasColon || token.kind === 'mark') throw fault('a value is missing');
    at++;
    if (token.kind === 'number') return Number(token.value.replace(/f$/, ''));
    if (token.kind === 'word') return token.value === 'true' ? true : token.value === 'false' ? false : token.value;
    // Texts side by side are one.
    let text = unquoted(token.value);
    while (tokens[at]?.kind === 'text') text += unquoted(tokens[at++]!.value);
    return text;
  }
}

function tokensOf(source: string, path: string): Token[] {
  const found: Token[] = [];
  let line = 1;
  for (let at = 0; at < source.length; ) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(source);
    if (match === null || match[0] === '')
      throw faultAt(path, line, `${JSON.stringify(source.slice(at, at + 20))} cannot be read`);
    const { text, number, word, mark } = match.groups!;
    const kind =
      text !== undefined
        ? 'text'
        : number !== undefined
          ? 'number'
          : word !== undefined
            ? 'word'
            : mark !== undefined
              ? 'mark'
              : null;
    if (kind !== null) found.push({ kind, value: match[0], line });
    line += match[0].split('\n').length - 1;
    at += match[0].length;
  }
  return found;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

function unquoted(text: string): string {
  return text.slice(1, -1).replace(/\\([\s\S])/g, (_all, one: string) => ESCAPES[one] ?? one);
}

function faultAt(path: string, line: number, message: string): CliError {
  return new CliError('validation', `${path} cannot be read: line ${line}: ${message}`, { code: 'model_invalid' });
}
