import { isUtf8 } from 'node:buffer';
import { Type } from 'typebox';
import { type Document, isAlias, isNode, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import { NAME_PATTERN } from '../../base/ids.ts';
import { parseJson } from '../../base/json.ts';
import { closeSchema, createSchemaValidator } from '../../base/schema-validation.ts';
import { type GivenDecoder, IMAGE_COLORS, IMAGE_FILTERS, IMAGE_LAYOUTS, IMAGE_RESIZES } from '../input-decoder.ts';
import type { GivenPadding } from '../input-padding.ts';
import { assertWithin, LIMITS, type RunnerLimits } from '../limits.ts';
import type { GoldenCase } from '../validation.ts';

/** The optional file beside a model that says what its graph cannot say. Described for people in docs/guides/model-folder.md. */
export const SLIPWAY_FILE = 'slipway.yaml';

export type SlipwayFile = {
  readonly name?: string;
  readonly description?: string;
  readonly engine?: string;
  /** What of this folder belongs to the model; read by the CLI, which sends only these. */
  readonly files?: readonly string[];
  /** Path of the model file, when there is more than one. */
  readonly entry?: string;
  readonly signature?: {
    readonly inputs?: Readonly<
      Record<
        string,
        {
          readonly features?: readonly string[];
          readonly shape?: readonly number[];
          readonly decoder?: GivenDecoder;
          readonly pad?: GivenPadding;
        }
      >
    >;
    readonly outputs?: Readonly<
      Record<string, { readonly labels?: readonly string[]; readonly shape?: readonly number[] }>
    >;
  };
  /** The cases, or the path of a JSON or YAML file that lists them. */
  readonly golden?: string | readonly GoldenCase[];
  /** What callers must do to their data before they send it. */
  readonly preprocessing?: string;
  readonly limits?: Partial<RunnerLimits>;
  /** Path of the model card. */
  readonly card?: string;
};

const MAX_YAML_CHARACTERS = 256 * 1024;
const MAX_YAML_MARKS = 5000;
export const MAX_SLIPWAY_FILE_BYTES = 1024 * 1024;
export const MAX_GOLDEN_BYTES = 16 * 1024 * 1024;
export const MAX_GOLDEN_CASES = 1000;
/** How often anchors may be repeated: enough for a shared list, too little to blow up. */
const MAX_ALIASES = 100;

const Path = Type.String({ minLength: 1, maxLength: 512 });
const Names = Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { minItems: 1, maxItems: 100_000 });
const Shape = Type.Array(Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER }), { maxItems: 64 });
const oneOf = (words: readonly string[]) => Type.Optional(Type.Enum([...words]));
const PerChannel = Type.Optional(Type.Union([Type.Number(), Type.Array(Type.Number(), { minItems: 1, maxItems: 3 })]));
const Decoder = Type.Object({
  kind: Type.Enum(['image', 'raw']),
  width: Type.Optional(Type.Integer()),
  height: Type.Optional(Type.Integer()),
  channels: Type.Optional(Type.Integer()),
  layout: oneOf(IMAGE_LAYOUTS),
  resize: oneOf(IMAGE_RESIZES),
  filter: oneOf(IMAGE_FILTERS),
  color: oneOf(IMAGE_COLORS),
  scale: Type.Optional(
    Type.Union([Type.Number(), Type.String({ pattern: '^\\d{1,9}(\\.\\d{1,9})?/\\d{1,9}(\\.\\d{1,9})?$' })]),
  ),
  mean: PerChannel,
  std: PerChannel,
});
const Padding = Type.Object({
  axis: Type.Integer({ minimum: 0, maximum: 63 }),
  value: Type.Optional(Type.Union([Type.Number(), Type.String({ maxLength: 256 })])),
});
const Values = Type.Record(Type.String(), Type.Unknown());
const Tolerance = Type.Object({
  absolute: Type.Optional(Type.Number({ minimum: 0 })),
  relative: Type.Optional(Type.Number({ minimum: 0 })),
});
const Body = Type.Union([
  Type.Object({ records: Type.Array(Values, { minItems: 1 }) }),
  Type.Object({ inputs: Values }),
]);
const Cases = Type.Array(
  Type.Object({
    name: Type.Optional(Type.String({ maxLength: 256 })),
    inputs: Body,
    outputs: Type.Record(Type.String(), Type.Unknown(), { minProperties: 1 }),
    tolerance: Type.Optional(Tolerance),
  }),
  { minItems: 1, maxItems: MAX_GOLDEN_CASES },
);
const Limits = Type.Object(
  Object.fromEntries(
    Object.entries(LIMITS).map(([name, { range }]) => [
      name,
      Type.Optional(Type.Integer({ minimum: range[0], maximum: range[1] })),
    ]),
  ),
);
const Schema = Type.Object({
  name: Type.Optional(Type.String({ pattern: NAME_PATTERN })),
  description: Type.Optional(Type.String({ maxLength: 1000 })),
  engine: Type.Optional(Type.String({ maxLength: 64 })),
  files: Type.Optional(Type.Array(Path, { minItems: 1, maxItems: 10_000 })),
  entry: Type.Optional(Path),
  signature: Type.Optional(
    Type.Object({
      inputs: Type.Optional(
        Type.Record(
          Type.String(),
          Type.Object({
            features: Type.Optional(Names),
            shape: Type.Optional(Shape),
            decoder: Type.Optional(Decoder),
            pad: Type.Optional(Padding),
          }),
        ),
      ),
      outputs: Type.Optional(
        Type.Record(Type.String(), Type.Object({ labels: Type.Optional(Names), shape: Type.Optional(Shape) })),
      ),
    }),
  ),
  golden: Type.Optional(Type.Union([Path, Cases])),
  preprocessing: Type.Optional(Type.String({ maxLength: 20_000 })),
  limits: Type.Optional(Limits),
  card: Type.Optional(Path),
});

const validator = createSchemaValidator();
const validateFile = validator.compile(closeSchema(Schema), 'body');
const validateCases = validator.compile(closeSchema(Cases), 'body');

/**
 * Reads slipway.yaml.
 * @param ceiling the operator's limits; without them those of the file are read and not compared
 * @throws SlipwayError `model_invalid` with every fault, its pointer and its line; `invalid_request` for limits above the ceiling
 */
export function parseSlipwayFile(
  bytes: Uint8Array,
  path: string = SLIPWAY_FILE,
  ceiling: RunnerLimits | null = null,
): SlipwayFile {
  const { value, lineOf } = parseYaml(bytes, path, MAX_SLIPWAY_FILE_BYTES);
  if (value === null) return {};
  const file = checked<SlipwayFile>(validateFile, value, path, lineOf);
  if (ceiling !== null && file.limits !== undefined) {
    assertWithin(ceiling, file.limits, ({ pointer, message }) => {
      const where = `line ${lineOf(pointer)} of ${path}`;
      return { pointer, message: `${where}: ${message}` };
    });
  }
  return file;
}

/**
 * Reads a golden set: a list of cases, or an object that has it under `cases`.
 * @throws SlipwayError `model_invalid`
 */
export function parseGoldenFile(bytes: Uint8Array, path: string): readonly GoldenCase[] {
  const isJson = path.toLowerCase().endsWith('.json');
  const { value, lineOf } = isJson
    ? { value: parseGoldenJson(bytes, path), lineOf: () => null }
    : parseYaml(bytes, path, MAX_GOLDEN_BYTES);
  const cases = (value as { cases?: unknown } | null)?.cases ?? value;
  return checked<readonly GoldenCase[]>(validateCases, cases, path, lineOf);
}

type LineOf = (pointer: string) => number | null;

function checked<T>(validate: typeof validateFile, value: unknown, path: string, lineOf: LineOf): T {
  const result = validate(value);
  if (!('error' in result)) return value as T;
  throw faulty(
    path,
    result.error.fields.map((field) => atLine(field, lineOf(field.pointer))),
  );
}

function atLine({ pointer, message }: FieldError, line: number | null): FieldError {
  return { pointer, message: line === null ? message : `line ${line}: ${message}` };
}

/** An error about what stands in a file that was uploaded with the model. */
export function faulty(path: string, fields: readonly FieldError[]): SlipwayError {
  const first = fields[0];
  const more = fields.length > 1 ? `, and ${fields.length - 1} more` : '';
  const at =
    first === undefined ? '' : `: ${[first.pointer, first.message].filter((part) => part !== '').join(' ')}${more}`;
  return new SlipwayError('model_invalid', `${path} is not valid${at}`, {
    fields: fields.slice(0, MAX_FIELD_ERRORS),
    hint: `Correct ${path} and push again. Its keys are described in docs/guides/model-folder.md.`,
  });
}

function parseGoldenJson(bytes: Uint8Array, path: string): unknown {
  if (bytes.length > MAX_GOLDEN_BYTES) throw tooLarge(path, MAX_GOLDEN_BYTES);
  try {
    return parseJson(bytes);
  } catch (error) {
    if (error instanceof SlipwayError) throw faulty(path, [{ pointer: '', message: error.message }]);
    throw error;
  }
}

function parseYaml(bytes: Uint8Array, path: string, maxBytes: number): { value: unknown; lineOf: LineOf } {
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

function tooLarge(path: string, maxBytes: number): SlipwayError {
  return new SlipwayError('model_invalid', `${path} is larger than ${maxBytes / (1024 * 1024)} MiB`, {
    hint: 'Keep golden sets small: some dozens of cases show as much as thousands.',
  });
}
