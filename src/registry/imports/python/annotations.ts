/** Reads the types of a function from Python source, without running it: the header of `def predict`, and whether `load` is there. */
import { SlipwayError } from '../../../base/errors.ts';
import { DATATYPES, type Datatype } from '../../signature.ts';

export type Parameter = {
  readonly name: string;
  readonly annotation: string | null;
  readonly hasDefault: boolean;
};

export type FunctionHeader = {
  readonly line: number;
  readonly parameters: readonly Parameter[];
  /** Text of the return annotation; null where there is none. */
  readonly returns: string | null;
};

export type TypedValue = {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** `scalar`: one Python value for each row; `list`: the column of all rows; `array`: a tensor. */
  readonly kind: 'scalar' | 'list' | 'array';
};

const SCALARS: Readonly<Record<string, Datatype>> = { float: 'FP64', int: 'INT64', bool: 'BOOL', str: 'BYTES' };
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const LIST = /^(?:typing\.)?[Ll]ist\[\s*(float|int|bool|str)\s*\]$/;
const TENSOR = /^([A-Z]+\d*)\s*(?:\[([-\d,\s]*)\])?$/;

/** What an annotation says; null when it is none that is known here. */
export function typeOf(annotation: string): TypedValue | null {
  const text = annotation.trim();
  const scalar = Object.hasOwn(SCALARS, text) ? SCALARS[text] : undefined;
  if (scalar !== undefined) return { datatype: scalar, shape: [-1], kind: 'scalar' };
  const list = LIST.exec(text);
  if (list) return { datatype: SCALARS[list[1]!]!, shape: [-1], kind: 'list' };
  const annotated = /^(?:typing\.)?Annotated\[\s*[\w.]+\s*,\s*(["'].*["'])\s*\]$/.exec(text);
  const quoted = /^(["'])(.*)\1$/.exec(annotated ? annotated[1]! : text);
  if (!quoted) return null;
  const tensor = TENSOR.exec(quoted[2]!.trim());
  if (!tensor || !DATATYPES.some((one) => one === tensor[1])) return null;
  const sizes = (tensor[2] ?? '-1').split(',').map((size) => Number(size.trim()));
  if (sizes.some((size) => !Number.isInteger(size) || size < -1 || size === 0)) return null;
  return { datatype: tensor[1] as Datatype, shape: sizes, kind: 'array' };
}

/** The outputs that a return annotation names: one, or a dict of several by name; null when it says neither. */
export function outputsOf(annotation: string): ReadonlyMap<string | null, TypedValue> | null {
  const single = typeOf(annotation);
  if (single) return new Map([[null, single]]);
  const text = annotation.trim();
  if (!text.startsWith('{') || !text.endsWith('}')) return null;
  const outputs = new Map<string, TypedValue>();
  for (const part of splitTop(text.slice(1, -1))) {
    const pair = /^\s*(["'])([^"'\\]+)\1\s*:([\s\S]*)$/.exec(part);
    const type = pair ? typeOf(pair[3]!) : null;
    if (!pair || !type) return null;
    outputs.set(pair[2]!, type);
  }
  return outputs.size === 0 ? null : outputs;
}

/**
 * The function of this name at the top level of the file; null when there is none.
 * @throws SlipwayError `model_invalid`, `model_unsupported`
 */
export function findFunction(source: string, name: string, path: string): FunctionHeader | null {
  const code = blankOut(source);
  const at = [...code.matchAll(new RegExp(`^(async\\s+)?def\\s+${name}\\s*\\(`, 'gm'))].at(-1);
  if (!at) return null;
  const line = source.slice(0, at.index).split('\n').length;
  if (at[1] !== undefined) {
    throw new SlipwayError(
      'model_unsupported',
      `${name} in ${path} (line ${line}) is async, and models are called one after another`,
      {
        hint: 'Take the word async away; calls share runs by themselves.',
      },
    );
  }
  const open = at.index + at[0].length - 1;
  const close = closing(code, open);
  if (close === null)
    throw new SlipwayError('model_invalid', `The brackets of ${name} in ${path} (line ${line}) do not end`);
  const rest = /^\s*(->)?/.exec(code.slice(close + 1))!;
  let returns: string | null = null;
  if (rest[1] !== undefined) {
    const start = close + 1 + rest[0].length;
    returns = source.slice(start, endOfAnnotation(code, start)).trim();
  }
  return { line, parameters: parametersOf(source, code, open + 1, close, name, path), returns };
}

function parametersOf(source: string, code: string, from: number, to: number, name: string, path: string): Parameter[] {
  const parameters: Parameter[] = [];
  for (const [start, end] of rangesTop(code, from, to)) {
    const text = source.slice(start, end);
    const plain = code.slice(start, end);
    if (plain.trim() === '' || plain.trim() === '*' || plain.trim() === '/') continue;
    if (plain.trim().startsWith('*')) {
      throw new SlipwayError(
        'model_unsupported',
        `${name} in ${path} takes ${text.trim()}, and the inputs of a model have names and types`,
      );
    }
    const equals = topIndex(plain, '=');
    const head = equals === -1 ? plain.length : equals;
    const colon = topIndex(plain.slice(0, head), ':');
    const word = plain.slice(0, colon === -1 ? head : colon).trim();
    if (!NAME.test(word))
      throw new SlipwayError(
        'model_invalid',
        `${name} in ${path} has a parameter that cannot be read: ${text.trim().slice(0, 80)}`,
      );
    parameters.push({
      name: word,
      annotation: colon === -1 ? null : text.slice(colon + 1, head).trim(),
      hasDefault: equals !== -1,
    });
  }
  return parameters;
}

/** The source with comments and the insides of texts as spaces, of the same length: brackets and words in them mean nothing. */
export function blankOut(source: string): string {
  return source.replace(
    /#[^\n]*|[rRbBuUfF]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\[\s\S]|[^"\\\n])*"?|'(?:\\[\s\S]|[^'\\\n])*'?)/g,
    (text) => text.replace(/[^\n]/g, (character) => (character === '"' || character === "'" ? '_' : ' ')),
  );
}

function closing(code: string, open: number): number | null {
  let depth = 0;
  for (let i = open; i < code.length; i++) {
    if ('([{'.includes(code[i]!)) depth++;
    else if (')]}'.includes(code[i]!) && --depth === 0) return i;
  }
  return null;
}

function endOfAnnotation(code: string, from: number): number {
  const at = topIndex(code.slice(from), ':');
  return at === -1 ? code.length : from + at;
}

/** The first such character outside of brackets. */
function topIndex(code: string, wanted: string): number {
  let depth = 0;
  for (let i = 0; i < code.length; i++) {
    if ('([{'.includes(code[i]!)) depth++;
    else if (')]}'.includes(code[i]!)) depth--;
    else if (depth === 0 && code[i] === wanted && code[i + 1] !== '=' && code[i - 1] !== '=') return i;
  }
  return -1;
}

function* rangesTop(code: string, from: number, to: number): Generator<[number, number]> {
  let start = from;
  let depth = 0;
  for (let i = from; i < to; i++) {
    if ('([{'.includes(code[i]!)) depth++;
    else if (')]}'.includes(code[i]!)) depth--;
    else if (depth === 0 && code[i] === ',') {
      yield [start, i];
      start = i + 1;
    }
  }
  yield [start, to];
}

function splitTop(text: string): string[] {
  const code = blankOut(text);
  return [...rangesTop(code, 0, code.length)]
    .map(([start, end]) => text.slice(start, end))
    .filter((part) => part.trim() !== '');
}
