/**
 * Filters of the prediction log, as people write them: `output.score > 0.9 and input.country in ('DE', 'FR')`. They are read by this grammar
 * and written anew with every value as a parameter, so that nothing of theirs is ever run as SQL.
 *
 *     or     = and { "or" and }          and = not { "and" not }          not = "not" not | "(" or ")" | test
 *     test   = field op value | field ["not"] in (value, …) | field ["not"] like 'text' | field is ["not"] null | field between value and value
 *     field  = name, or "name" in double quotes             op = = == != <> < <= > >=             value = number | 'text' | true | false
 */
import { closestWord } from '../../base/closest-word.ts';
import { SlipwayError } from '../../base/errors.ts';

export type WhereParameter = number | string | boolean;
export type CompiledWhere = { readonly sql: string; readonly parameters: readonly WhereParameter[] };

const TOKEN =
  /\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|'((?:[^']|'')*)'|"((?:[^"]|"")*)"|([A-Za-z_][\w.@-]*)|(<=|>=|<>|!=|==|[=<>(),-]))/iy;
const MAX_CHARS = 4000;
const MAX_DEPTH = 50;

type Token =
  | { readonly kind: 'number' | 'text' | 'name' | 'word' | 'sign'; readonly text: string; readonly at: number }
  | { readonly kind: 'end'; readonly text: ''; readonly at: number };

/**
 * @param fields names that may be used
 * @throws SlipwayError `invalid_request` with the place of the fault
 */
export function compileWhere(text: string, fields: ReadonlySet<string>): CompiledWhere {
  const tokens = tokenise(text);
  const parameters: WhereParameter[] = [];
  let next = 0;
  let depth = 0;
  const peek = (): Token => tokens[next]!;
  const take = (): Token => tokens[next++]!;
  const isWord = (word: string): boolean => peek().kind === 'word' && peek().text.toLowerCase() === word;
  const isSign = (sign: string): boolean => peek().kind === 'sign' && peek().text === sign;
  const expect = (what: string, isIt: boolean): Token => {
    if (isIt) return take();
    throw fault(`${what} is expected`, peek());
  };

  const readOr = (): string => {
    if (++depth > MAX_DEPTH) throw fault('it is nested too deeply', peek());
    let sql = readAnd();
    while (isWord('or')) {
      take();
      sql = `(${sql} or ${readAnd()})`;
    }
    depth -= 1;
    return sql;
  };
  const readAnd = (): string => {
    let sql = readNot();
    while (isWord('and')) {
      take();
      sql = `(${sql} and ${readNot()})`;
    }
    return sql;
  };
  const readNot = (): string => {
    if (isWord('not')) {
      take();
      if (++depth > MAX_DEPTH) throw fault('it is nested too deeply', peek());
      const sql = `(not ${readNot()})`;
      depth -= 1;
      return sql;
    }
    if (isSign('(')) {
      take();
      const sql = readOr();
      expect('a closing )', isSign(')'));
      return sql;
    }
    return readTest();
  };
  const readTest = (): string => {
    const field = readField();
    if (isWord('is')) {
      take();
      const not = isWord('not') && take() ? 'not ' : '';
      expect('null', isWord('null'));
      return `(${field} is ${not}null)`;
    }
    const not = isWord('not') && take() ? 'not ' : '';
    if (isWord('in')) {
      take();
      expect('a (', isSign('('));
      const values = [readValue()];
      while (isSign(',')) {
        take();
        values.push(readValue());
      }
      expect('a , or )', isSign(')'));
      return `(${field} ${not}in (${values.join(', ')}))`;
    }
    if (isWord('like')) {
      take();
      return `(${field} ${not}like ${readValue()})`;
    }
    if (isWord('between')) {
      take();
      const low = readValue();
      expect('and', isWord('and'));
      return `(${field} ${not}between ${low} and ${readValue()})`;
    }
    const sign = peek().text;
    if (not !== '' || peek().kind !== 'sign' || !['=', '==', '!=', '<>', '<', '<=', '>', '>='].includes(sign)) {
      throw fault('a comparison such as > or = is expected', peek());
    }
    take();
    return `(${field} ${sign === '==' ? '=' : sign === '!=' ? '<>' : sign} ${readValue()})`;
  };
  const readField = (): string => {
    const token = take();
    const name = token.text;
    if (token.kind !== 'word' && token.kind !== 'name') throw fault('the name of a field is expected', token);
    if (!fields.has(name)) {
      const near = closestWord(name, [...fields]);
      throw fault(near ? `there is no field ${name}; did you mean ${near}?` : `there is no field ${name}`, token);
    }
    return quoteName(name);
  };
  const readNumber = (value: number): string => {
    // DuckDB takes a whole number for an integer of 64 bits, which does not hold every one.
    const isHuge = Number.isInteger(value) && !Number.isSafeInteger(value);
    parameters.push(isHuge ? String(value) : value);
    return isHuge ? 'cast(? as double)' : '?';
  };
  const readValue = (): string => {
    const isNegative = isSign('-') && take() !== null;
    const token = take();
    if (token.kind === 'number') return readNumber(isNegative ? -Number(token.text) : Number(token.text));
    if (isNegative) throw fault('a number is expected', token);
    else if (token.kind === 'text') parameters.push(token.text);
    else if (token.kind === 'word' && /^(true|false)$/i.test(token.text))
      parameters.push(token.text.toLowerCase() === 'true');
    else throw fault("a number, 'text', true or false is expected", token);
    return '?';
  };

  const sql = readOr();
  if (peek().kind !== 'end') throw fault('and, or, or the end is expected', peek());
  return { sql, parameters };
}

/** A name in SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function tokenise(text: string): Token[] {
  if (text.length > MAX_CHARS)
    throw new SlipwayError('invalid_request', `The filter is longer than ${MAX_CHARS} characters`);
  const tokens: Token[] = [];
  let at = 0;
  const end = text.trimEnd().length;
  while (at < end) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) {
      const spaces = text.length - at - text.slice(at).trimStart().length;
      throw fault('it cannot be read from here', { kind: 'sign', text: '', at: at + spaces });
    }
    const [whole, number, string, name, word, sign] = match;
    const start = at + whole.length - whole.trimStart().length;
    if (number !== undefined) tokens.push({ kind: 'number', text: number, at: start });
    else if (string !== undefined) tokens.push({ kind: 'text', text: string.replaceAll("''", "'"), at: start });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name.replaceAll('""', '"'), at: start });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at: start });
    else tokens.push({ kind: 'sign', text: sign!, at: start });
    at += whole.length;
  }
  tokens.push({ kind: 'end', text: '', at: text.length });
  return tokens;
}

function fault(what: string, token: Token): SlipwayError {
  const where = token.kind === 'end' ? 'at its end' : `at character ${token.at + 1}`;
  return new SlipwayError('invalid_request', `The filter cannot be read ${where}: ${what}`, {
    fields: [{ pointer: '/query/where', message: what }],
    hint: "Write it like: output.score > 0.9 and input.country in ('DE', 'FR') and unit is not null",
  });
}
