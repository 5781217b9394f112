/** The forms of versions and their parts on the wire; `sdk/src/types.ts` says the same in TypeScript, and a test holds the two equal. */
import { Type } from 'typebox';
import { AliasName, Name, Nullable, oneOf, ProjectName, Time } from '../base/http/schema-parts.ts';
import { CONVERSION_KINDS, QUANTIZATIONS } from './conversion-report.ts';
import { IMAGE_COLORS, IMAGE_FILTERS, IMAGE_LAYOUTS, IMAGE_RESIZES } from './input-decoder.ts';
import { LIMITS, type RunnerLimits } from './limits.ts';
import { MAX_CARD_LENGTH, MAX_TAG_LENGTH, MAX_TAGS, TAG_KEY_PATTERN } from './model.ts';
import { PYTHON_LOADERS } from './runtime.ts';
import { DATATYPES, type SignatureDiff } from './signature.ts';
import type { Version } from './version.ts';

export const Digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' });
export const Reason = Type.String({
  maxLength: 1000,
  pattern: '^[^\\u0000]*$',
  description: 'Why; kept in the history.',
});

export const Tags = Type.Record(Type.String({ pattern: TAG_KEY_PATTERN }), Type.String({ maxLength: MAX_TAG_LENGTH }), {
  maxProperties: MAX_TAGS,
  additionalProperties: false,
});
export const Card = Type.String({
  maxLength: MAX_CARD_LENGTH,
  description: 'Markdown. Whoever shows it treats it as hostile.',
});

const InputDecoder = Type.Union([
  Type.Object({
    kind: Type.Literal('image'),
    width: Type.Integer(),
    height: Type.Integer(),
    channels: Type.Integer(),
    layout: oneOf(IMAGE_LAYOUTS),
    color: oneOf(IMAGE_COLORS),
    resize: oneOf(IMAGE_RESIZES),
    filter: oneOf(IMAGE_FILTERS),
    scale: Type.Number(),
    mean: Type.Array(Type.Number()),
    std: Type.Array(Type.Number()),
  }),
  Type.Object({ kind: Type.Literal('raw') }),
]);

const TensorSpec = Type.Object({
  name: Type.String(),
  datatype: oneOf(DATATYPES),
  shape: Type.Array(Type.Integer(), { description: '-1 is a free dimension; an empty shape is a scalar.' }),
  symbols: Type.Optional(Type.Array(Nullable(Type.String()))),
  optional: Type.Optional(Type.Boolean()),
  features: Type.Optional(Type.Array(Type.String())),
  decoder: Type.Optional(InputDecoder),
  pad: Type.Optional(Type.Object({ axis: Type.Integer(), value: Type.Union([Type.Number(), Type.String()]) })),
  labels: Type.Optional(Type.Array(Type.String())),
});

export const SignatureSchema = Type.Object({ inputs: Type.Array(TensorSpec), outputs: Type.Array(TensorSpec) });

export const SignatureDiffSchema = Type.Object({
  breaking: Type.Boolean(),
  changes: Type.Array(
    Type.Object({
      path: Type.String({ examples: ['inputs/age/datatype'] }),
      change: oneOf(['added', 'removed', 'changed']),
      from: Nullable(Type.String()),
      to: Nullable(Type.String()),
      breaking: Type.Boolean(),
      reason: Type.String(),
    }),
  ),
});

/** The same forms with the read-only types that the services give. */
export const SignatureDiffAnswer = Type.Unsafe<SignatureDiff>(SignatureDiffSchema);

const limit = (name: keyof RunnerLimits) =>
  Type.Integer({ minimum: LIMITS[name].range[0], maximum: LIMITS[name].range[1] });

export const LimitsSchema = Type.Object({
  memoryBytes: limit('memoryBytes'),
  loadTimeoutMs: limit('loadTimeoutMs'),
  runTimeoutMs: limit('runTimeoutMs'),
  threads: limit('threads'),
  maxBatchRows: limit('maxBatchRows'),
  maxDelayMs: limit('maxDelayMs'),
  queueLimit: limit('queueLimit'),
});

const Short = Type.String({ maxLength: 1000 });

const GivenLineage = {
  data: Type.Optional(Short),
  codeCommit: Type.Optional(Short),
  parentVersion: Type.Optional(Type.Integer({ minimum: 1 })),
  trainedBy: Type.Optional(Short),
};

const MeasuredSchema = Type.Object({
  engine: Type.String(),
  sizeBytes: Type.Integer(),
  memoryBytes: Nullable(Type.Integer()),
  rowMs: Type.Number({ description: 'Median of one row.' }),
  batchRows: Type.Integer(),
  batchMs: Type.Number({ description: 'Median of that many rows together.' }),
  cpuMsPerThousandRows: Nullable(Type.Number()),
  joulesPerThousandRows: Nullable(
    Type.Number({ description: 'Of the whole processor, by its own counters; null where it shows none.' }),
  ),
});

export const ConversionReportSchema = Type.Object({
  kind: oneOf(CONVERSION_KINDS),
  quantize: Type.Optional(oneOf(QUANTIZATIONS)),
  from: Type.Object({ version: Type.Integer(), digest: Digest }),
  by: Type.String({ description: 'The programs that did it, with their versions.' }),
  rows: Type.Object({
    golden: Type.Integer(),
    example: Type.Integer(),
    reference: Type.Integer(),
    drawn: Type.Integer({ description: 'Made from the signature and the numbers in the graph.' }),
    unanswered: Type.Integer({ description: 'Refused by the version before, so nothing could be compared.' }),
  }),
  outputs: Type.Array(
    Type.Object({
      name: Type.String(),
      values: Type.Integer(),
      largestDifference: Nullable(Type.Number({ description: 'Null for outputs that are no numbers.' })),
      largestRelative: Nullable(Type.Number({ description: 'Of |difference| / (1 + |before|).' })),
      unequal: Type.Integer({ description: 'Values beyond the tolerance, or labels that are not the same.' }),
      fidelity: Type.Number({
        description:
          'Share of rows with the same label or class; of plain numbers the share of variance that is kept (R²).',
      }),
    }),
  ),
  tolerance: Nullable(Type.Object({ absolute: Type.Number(), relative: Type.Number() })),
  leastFidelity: Nullable(Type.Number()),
  accuracy: Nullable(
    Type.Object({
      truth: Type.String({ description: 'The column of the reference set that has it.' }),
      output: Type.String(),
      rows: Type.Integer(),
      before: Type.Number(),
      after: Type.Number(),
      mostLost: Type.Number(),
    }),
  ),
  worst: Nullable(Type.String({ description: 'Where the largest difference was.' })),
  before: MeasuredSchema,
  after: MeasuredSchema,
});

export const LineageSchema = Type.Object({ ...GivenLineage, conversion: Type.Optional(ConversionReportSchema) });

const ValidationSchema = Type.Object({
  outcome: oneOf(['passed', 'failed']),
  reason: Nullable(Type.String()),
  hint: Nullable(Type.String()),
  steps: Type.Array(
    Type.Object({
      name: oneOf(['environment', 'load', 'infer', 'golden', 'batch']),
      outcome: oneOf(['passed', 'failed', 'skipped']),
      durationMs: Type.Number(),
      detail: Nullable(Type.String()),
    }),
  ),
  lastStep: Nullable(Type.String()),
  exitCode: Nullable(Type.Integer()),
  exitSignal: Nullable(Type.String()),
  stderr: Type.String(),
  loadMs: Nullable(Type.Number()),
  inferMs: Nullable(Type.Number()),
  peakMemoryBytes: Nullable(Type.Integer()),
  warnings: Type.Array(Type.String()),
  engine: Type.Optional(
    Type.Object({
      name: Type.String(),
      reason: Type.String({ description: 'Why this engine: what was compared, and what came of it.' }),
    }),
  ),
  measures: Type.Optional(
    Type.Array(
      Type.Object({
        name: Type.String(),
        holds: Type.Boolean({ description: 'Whether this protection holds on the system where it was validated.' }),
        detail: Type.String(),
      }),
    ),
  ),
  finishedAt: Time,
});

const RuntimeSchema = Type.Object({
  loader: oneOf(PYTHON_LOADERS),
  options: Type.Record(Type.String(), Type.Unknown()),
  python: Nullable(Type.String({ description: 'Major and minor version it was made with; null: any.' })),
  requirements: Type.Array(Type.String()),
  network: Type.Boolean(),
});

const Values = Type.Record(Type.String(), Type.Unknown());

const PredictRequestSchema = Type.Union([
  Type.Object({ records: Type.Array(Values) }),
  Type.Object({ inputs: Values }),
]);

export const VersionSchema = Type.Object({
  project: ProjectName,
  model: Name,
  version: Type.Integer(),
  digest: Digest,
  status: oneOf(['pending', 'validating', 'ready', 'failed']),
  statusReason: Nullable(Type.String()),
  format: Type.String(),
  engine: Type.String({ description: '`auto` until its validation has chosen one.' }),
  entry: Type.String(),
  files: Type.Array(Type.Object({ path: Type.String(), digest: Digest, sizeBytes: Type.Integer() })),
  signature: SignatureSchema,
  runtime: Nullable(RuntimeSchema),
  environment: Nullable(Type.String({ description: 'The Python environment it runs in.' })),
  sampleRequest: PredictRequestSchema,
  canBatch: Type.Boolean({ description: 'Whether rows of different callers may share a run.' }),
  canPad: Type.Boolean({
    description: 'Whether calls of different sizes may share one, padded as the signature declares it.',
  }),
  limits: LimitsSchema,
  validation: Nullable(ValidationSchema),
  estimatedMemoryBytes: Type.Integer(),
  measuredMemoryBytes: Nullable(Type.Integer()),
  lineage: LineageSchema,
  tags: Tags,
  card: Nullable(Type.String()),
  aliases: Type.Array(AliasName),
  revision: Type.Integer(),
  createdAt: Time,
  createdBy: Type.String(),
  sameBytesAs: Type.Optional(
    Type.Integer({ description: 'Only in the answer to creation: the newest earlier version with the same files.' }),
  ),
});

export const VersionAnswer = Type.Unsafe<Version>(VersionSchema);

export const MAX_FILES = 1000;

export const CreateVersionBody = Type.Object({
  files: Type.Array(Type.Object({ path: Type.String({ minLength: 1, maxLength: 512 }), digest: Digest }), {
    minItems: 1,
    maxItems: MAX_FILES,
    description: 'Files by their path inside the artifact. Their bytes were uploaded before.',
  }),
  lineage: Type.Optional(Type.Object(GivenLineage)),
  tags: Type.Optional(Tags),
  card: Type.Optional(Card),
  engine: Type.Optional(Type.String({ maxLength: 64, examples: ['auto'] })),
  limits: Type.Optional(
    Type.Partial(LimitsSchema, { description: "Each at most the server's own; what is left out is the server's." }),
  ),
  endpoint: Type.Optional(Name),
  allowBreaking: Type.Optional(Type.Boolean()),
  allowCode: Type.Optional(
    Type.Boolean({ description: "Whether the model's own code may run. Needs the scope `code`." }),
  ),
});

export const ChangeVersionBody = Type.Object({ tags: Type.Optional(Tags), card: Type.Optional(Nullable(Card)) });
