import { Type } from 'typebox';
import { type FieldError, SlipwayError } from '../../base/errors.ts';
import { NAME_PATTERN } from '../../base/ids.ts';
import { parseJson } from '../../base/json.ts';
import { closeSchema, createSchemaValidator } from '../../base/schema-validation.ts';
import { type GivenDecoder, IMAGE_COLORS, IMAGE_FILTERS, IMAGE_LAYOUTS, IMAGE_RESIZES } from '../input-decoder.ts';
import type { GivenPadding } from '../input-padding.ts';
import { assertWithin, LIMITS, type RunnerLimits } from '../limits.ts';
import { DATATYPES, type Datatype } from '../signature.ts';
import type { GoldenCase } from '../validation.ts';
import { faulty, tooLarge } from './file-fault.ts';
import { type LineOf, parseYaml } from './plain-yaml.ts';

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
          /** Only for models whose own files say none. */
          readonly datatype?: Datatype;
          readonly decoder?: GivenDecoder;
          readonly pad?: GivenPadding;
        }
      >
    >;
    readonly outputs?: Readonly<
      Record<
        string,
        {
          readonly labels?: readonly string[];
          readonly shape?: readonly number[];
          readonly datatype?: Datatype;
          /** The method of the model that gives it, such as `predict_proba`; for models in Python only. */
          readonly method?: string;
        }
      >
    >;
  };
  /** The cases, or the path of a JSON or YAML file that lists them. */
  readonly golden?: string | readonly GoldenCase[];
  /** Path of a CSV file of rows that predictions are compared with. */
  readonly reference?: string;
  /** What callers must do to their data before they send it. */
  readonly preprocessing?: string;
  readonly limits?: Partial<RunnerLimits>;
  /** For models that run in Python. */
  readonly python?: {
    /** Major and minor version, such as 3.11. */
    readonly version?: string;
    /** Whether its process may open sockets; no unless said. */
    readonly network?: boolean;
    /** In place of those that the model's own files name. */
    readonly requirements?: readonly string[];
  };
  /** Path of the model card. */
  readonly card?: string;
};

export const MAX_SLIPWAY_FILE_BYTES = 1024 * 1024;
export const MAX_GOLDEN_BYTES = 16 * 1024 * 1024;
export const MAX_GOLDEN_CASES = 1000;

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
            datatype: oneOf(DATATYPES),
            decoder: Type.Optional(Decoder),
            pad: Type.Optional(Padding),
          }),
        ),
      ),
      outputs: Type.Optional(
        Type.Record(
          Type.String(),
          Type.Object({
            labels: Type.Optional(Names),
            shape: Type.Optional(Shape),
            datatype: oneOf(DATATYPES),
            method: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,63}$' })),
          }),
        ),
      ),
    }),
  ),
  golden: Type.Optional(Type.Union([Path, Cases])),
  reference: Type.Optional(Path),
  preprocessing: Type.Optional(Type.String({ maxLength: 20_000 })),
  limits: Type.Optional(Limits),
  python: Type.Optional(
    Type.Object({
      version: Type.Optional(Type.String({ pattern: '^3\\.\\d{1,2}$' })),
      network: Type.Optional(Type.Boolean()),
      requirements: Type.Optional(Type.Array(Type.String({ maxLength: 256 }), { maxItems: 500 })),
    }),
  ),
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

function parseGoldenJson(bytes: Uint8Array, path: string): unknown {
  if (bytes.length > MAX_GOLDEN_BYTES) throw tooLarge(path, MAX_GOLDEN_BYTES);
  try {
    return parseJson(bytes);
  } catch (error) {
    if (error instanceof SlipwayError) throw faulty(path, [{ pointer: '', message: error.message }]);
    throw error;
  }
}
