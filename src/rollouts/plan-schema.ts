/** The form of a plan as people write it: JSON Schema, for editors too (`docs/reference/rollout-plan.schema.json`). */
import { type TSchema, Type } from 'typebox';
import { oneOf } from '../base/http/schema-parts.ts';
import { UNIT_KEYS } from '../serving/endpoints/traffic.ts';
import { TASKS } from './task.ts';

/** `10m`; days as well. */
export const DURATION_PATTERN = '^\\d+(\\.\\d+)?(ms|s|m|h|d)$';
/** `5%`, from 0% to 100%: shares carry their unit, so that 5 and 0.05 are never taken for one another. */
export const SHARE_PATTERN = '^(100(\\.0+)?|\\d{1,2}(\\.\\d+)?)%$';

const about = <T extends TSchema>(type: T, description: string): T => ({ ...type, description });
const Duration = (description: string) =>
  Type.String({ pattern: DURATION_PATTERN, description, examples: ['10m', '90s', '1d'] });
const Share = (description: string) => Type.String({ pattern: SHARE_PATTERN, description, examples: ['5%', '0.5%'] });
const Name = Type.String({ minLength: 1, maxLength: 63, pattern: '^[A-Za-z0-9][A-Za-z0-9._%-]*$' });
const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength });
const Count = (description: string) => Type.Integer({ minimum: 0, maximum: 1e9, description });
const Margin = (description: string) => Type.Number({ minimum: 0, maximum: 1e6, description });
const Alpha = Type.Number({ exclusiveMinimum: 0, maximum: 0.5, description: 'Probability of error, at most.' });
const opt = <T extends TSchema>(type: T) => Type.Optional(type);

/** Where a value stands in a call: exactly one of the three. */
const sourceParts = {
  header: opt(Text(128)),
  field: opt(Text(256)),
  pointer: opt(Type.String({ maxLength: 512, pattern: '^/' })),
};

const Approve = Type.Union([
  Type.Boolean(),
  Type.Object({
    count: opt(Type.Integer({ minimum: 1, maximum: 10 })),
    separateDuties: opt(Type.Boolean({ description: 'Not by whoever started it or made the version.' })),
  }),
]);

const Role = oneOf(['guardrail', 'tripwire', 'signal', 'report'] as const);
const gate = <K extends string>(kind: K, description: string, parts: Record<string, TSchema>) =>
  Type.Object({ kind: Type.Literal(kind), name: opt(Name), role: opt(Role), ...parts }, { description });

const failAndPass = {
  failMargin: opt(Margin('FAIL when canary has surely more than this many times as many.')),
  passMargin: opt(Type.Union([Margin('PASS when it has surely fewer than this many times as many.'), Type.Null()])),
  alpha: opt(Alpha),
};

export const GATE_SCHEMAS = {
  'rate-ratio': gate('rate-ratio', 'Errors, or a yes-or-no outcome from feedback, against control.', {
    metric: opt(Text(128)),
    ...failAndPass,
    passBelow: opt(Type.Union([Share('PASS also when the canary has surely a smaller share than this.'), Type.Null()])),
    bySlice: opt(Type.Boolean()),
  }),
  exceedance: gate('exceedance', "Calls slower than control's level before the stage.", {
    level: oneOf(['p50', 'p95', 'p99'] as const),
    ...failAndPass,
    bySlice: opt(Type.Boolean()),
  }),
  'mean-difference': gate('mean-difference', 'Mean of an output or of feedback, canary minus control.', {
    metric: Text(128),
    harm: opt(oneOf(['increase', 'decrease', 'either'] as const)),
    failMargin: Margin('FAIL when the harm is surely larger, in units of the metric.'),
    passMargin: opt(Type.Union([Margin('PASS when the harm is surely smaller.'), Type.Null()])),
    alpha: opt(Alpha),
    expectedTotal: opt(Type.Integer({ minimum: 100, maximum: 1e9 })),
  }),
  'output-shift': gate('output-shift', 'Whether outputs are spread as those of control are. Pauses.', {
    output: Text(256),
    margin: opt(Margin('FAIL when a class or range is surely this many times as frequent, or as rare.')),
    alpha: opt(Alpha),
  }),
  ceiling: gate('ceiling', 'Limits that trip at once.', {
    consecutiveErrors: opt(Type.Union([Type.Integer({ minimum: 1, maximum: 1e6 }), Type.Null()])),
    errorRate: opt(Type.Union([Share('Of the last seconds.'), Type.Null()])),
    minCalls: opt(Count('Calls of the last seconds before the share is looked at.')),
  }),
  'sample-ratio': gate('sample-ratio', 'Whether arms get their shares. INVALID when they do not.', {
    of: opt(oneOf(['assignments', 'outcomes'] as const)),
    alpha: opt(Alpha),
  }),
  shadow: gate('shadow', "A shadow's answers beside the live ones.", {
    maxExcessFlips: opt(Share('Decisions that may differ more than those of the current version from itself.')),
    maxBias: opt(Type.Union([Margin('Of numbers, in their units.'), Type.Null()])),
    minPairs: opt(Count('Pairs before it can pass.')),
    minCoverage: opt(Share('Of the intended copies.')),
    maxLatencyRatio: opt(Margin('Of p99.')),
    alpha: opt(Alpha),
  }),
  'paired-accuracy': gate(
    'paired-accuracy',
    'Which model was right, by feedback on calls that both answered.',
    failAndPass,
  ),
  golden: gate('golden', 'The golden set of the version.', {
    minCases: opt(Type.Integer({ minimum: 1, maximum: 1000 })),
  }),
  external: gate('external', 'A number from elsewhere. An outage is INVALID, never good or bad.', {
    prometheus: opt(Type.Object({ url: Text(2048), query: Text(8192) })),
    webhook: opt(Type.Object({ url: Text(2048) })),
    timeout: opt(Duration('Of one reading.')),
    every: opt(Duration('Between readings.')),
    failAbove: opt(Type.Number()),
    failBelow: opt(Type.Number()),
    passAfter: opt(Type.Integer({ minimum: 1, maximum: 20 })),
    failAfter: opt(Type.Integer({ minimum: 1, maximum: 20 })),
  }),
  quantile: gate('quantile', 'Latencies with their bounds, for display.', {
    levels: opt(Type.Array(Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 }), { minItems: 1, maxItems: 9 })),
    alpha: opt(Alpha),
  }),
} as const;

const Gates = Type.Array(Type.Union(Object.values(GATE_SCHEMAS)), {
  maxItems: 20,
  description: 'Absent: those that suit the weight and the task of the model.',
});

const stage = <K extends string>(kind: K, description: string, parts: Record<string, TSchema>) =>
  Type.Object({ kind: Type.Literal(kind), name: opt(Name), ...parts }, { description });

const judged = {
  minDwell: opt(Duration('Least time at the stage.')),
  approve: opt(about(Approve, 'After its gates have passed.')),
  gates: opt(Gates),
};

export const STAGE_SCHEMAS = {
  shadow: stage('shadow', 'Copies of live calls, whose answers are compared and thrown away.', {
    sample: opt(Share('Of calls that are copied.')),
    noiseFloor: opt(Share('Of calls also copied to a second run of the current version.')),
    also: opt(
      Type.Array(Type.Integer({ minimum: 1, maximum: 999_999_999 }), {
        maxItems: 4,
        uniqueItems: true,
        description: 'Further versions that get the same copies: shown beside, and judged by nobody.',
      }),
    ),
    minPairs: opt(Count('Pairs before the stage may pass.')),
    timeout: opt(Duration('Of one copy.')),
    maxInFlight: opt(Type.Integer({ minimum: 1, maximum: 10_000 })),
    maxBytesInFlight: opt(Type.Integer({ minimum: 1024, maximum: 4 * 1024 ** 3 })),
    ...judged,
  }),
  canary: stage('canary', 'A share of units gets the new version.', {
    weight: opt(Share('Of units.')),
    weights: opt(
      Type.Array(Share('Of units.'), {
        minItems: 1,
        maxItems: 20,
        description: 'One stage for each, in place of weight.',
      }),
    ),
    control: opt(oneOf(['concurrent-equal', 'rest'] as const)),
    minExposures: opt(Count('Predictions of the canary before the stage may pass.')),
    ...judged,
  }),
  'blue-green': stage(
    'blue-green',
    'The new version runs beside at weight 0, reached by X-Slipway-Arm: canary.',
    judged,
  ),
  approve: stage('approve', 'A person agrees.', {
    count: opt(Type.Integer({ minimum: 1, maximum: 10 })),
    separateDuties: opt(Type.Boolean()),
  }),
  promote: stage('promote', 'Everybody gets the new version; it is watched, and the old one kept warm.', {
    soak: opt(Duration('For which it is watched.')),
    keepWarm: opt(Duration('For which the old version stays loaded after that.')),
    gates: opt(Gates),
  }),
} as const;

const ruleParts = { name: opt(Name), ...sourceParts, values: Type.Array(Text(256), { minItems: 1, maxItems: 1000 }) };

const topParts = {
  strategy: opt(oneOf(['canary', 'blue-green', 'shadow'] as const)),
  task: opt(about(oneOf(TASKS), 'What the model is for, where its outputs do not tell.')),
  unit: opt(
    Type.Object(
      { key: oneOf(UNIT_KEYS), ...sourceParts },
      { description: 'Who stays on one version. Absent: each call by itself, or the unit of X-Slipway-Unit.' },
    ),
  ),
  rules: opt(
    Type.Array(Type.Object({ kind: oneOf(['only', 'never', 'arm'] as const), arm: opt(Text(63)), ...ruleParts }), {
      maxItems: 50,
    }),
  ),
  holdout: opt(Share('Of units that are kept out of every change.')),
  labelDelay: opt(Duration('Predictions younger than this may not have their feedback yet, and are not looked at.')),
  layer: opt(Type.Object({ name: Name, from: Share('Of the layer.'), to: Share('Of the layer.') })),
  sliceBy: opt(Type.Object(sourceParts, { description: 'What counts are broken down by, such as the tenant.' })),
  onFail: opt(oneOf(['rollback', 'pause'] as const)),
  onInconclusive: opt(
    Type.Union([
      oneOf(['pause', 'rollback'] as const),
      Type.Object({ extend: Type.Integer({ minimum: 1, maximum: 100 }) }),
      Type.Object({ ask: Text(128) }),
    ]),
  ),
  onInvalid: opt(oneOf(['pause', 'rollback'] as const)),
  onTelemetryLoss: opt(
    Type.Object({ after: opt(Duration('Without evidence.')), do: opt(oneOf(['pause', 'rollback'] as const)) }),
  ),
  provisionTimeout: opt(Duration('To load and warm the new version.')),
  stageBudget: opt(Duration('Longest time at a stage without a decision.')),
  deadline: opt(Duration('Of the whole rollout.')),
};

const withStages = (stages: TSchema, options: Record<string, unknown>) =>
  Type.Object({ ...topParts, stages: opt(stages) }, options);

/** The whole form, for editors and the API's description. */
export const PLAN_SCHEMA = withStages(
  Type.Array(Type.Union(Object.values(STAGE_SCHEMAS)), { minItems: 1, maxItems: 20 }),
  { title: 'A plan of slipway rollouts' },
);

/** The same with stages of any form: each is validated by the schema of its kind, so that a fault is told of what was meant. */
export const PLAN_FRAME_SCHEMA = withStages(Type.Array(Type.Unknown(), { minItems: 1, maxItems: 20 }), {});

/** A stage or gate with parts of any form, but of a kind there is. */
export const kindSchema = (kinds: readonly string[]) =>
  Type.Object({ kind: oneOf(kinds) }, { additionalProperties: true });

/** A stage as its schema has it, with gates of any form. */
export function stageFrame(kind: keyof typeof STAGE_SCHEMAS): TSchema {
  const schema = STAGE_SCHEMAS[kind];
  const properties = schema.properties as Record<string, TSchema>;
  if (!('gates' in properties)) return schema;
  return Type.Object({ ...properties, gates: opt(Type.Array(Type.Unknown(), { maxItems: 20 })) });
}
