/** Reads a plan as people write it, YAML or JSON, into what the step works with. */
import { createHash } from 'node:crypto';
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../base/errors.ts';
import { closeSchema, createSchemaValidator } from '../base/schema-validation.ts';
import { parseYaml } from '../registry/imports/plain-yaml.ts';
import type { Plan } from './plan.ts';
import {
  DURATION_PATTERN,
  GATE_SCHEMAS,
  kindSchema,
  PLAN_FRAME_SCHEMA,
  SHARE_PATTERN,
  STAGE_SCHEMAS,
  stageFrame,
} from './plan-schema.ts';
import type { Task, TaskKind } from './task.ts';
import { builtPlan } from './written-plan.ts';
import type { Written } from './written-values.ts';

const MAX_PLAN_BYTES = 64 * 1024;

type StageKind = keyof typeof STAGE_SCHEMAS;
type GateKind = keyof typeof GATE_SCHEMAS;

const validator = createSchemaValidator();
const compile = (schema: unknown) => validator.compile(closeSchema(schema), 'body');
const checkFrame = compile(PLAN_FRAME_SCHEMA);
const checkKindOfStage = validator.compile(kindSchema(Object.keys(STAGE_SCHEMAS)), 'body');
const checkKindOfGate = validator.compile(kindSchema(Object.keys(GATE_SCHEMAS)), 'body');
const checkStage = Object.fromEntries(
  Object.keys(STAGE_SCHEMAS).map((kind) => [kind, compile(stageFrame(kind as StageKind))]),
);
const checkGate = Object.fromEntries(Object.entries(GATE_SCHEMAS).map(([kind, schema]) => [kind, compile(schema)]));

/**
 * Reads a plan's YAML (JSON is YAML too).
 * @param taskOf what the model is for; the plan may say it itself
 * @throws SlipwayError `invalid_request` with every fault, its pointer and its line
 */
export function parsePlanText(text: string, path: string, taskOf: (asked: TaskKind | null) => Task): Plan {
  let read: ReturnType<typeof parseYaml>;
  try {
    read = parseYaml(Buffer.from(text), path, MAX_PLAN_BYTES);
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error;
    throw new SlipwayError('invalid_request', error.message, { fields: error.fields });
  }
  const { value, lineOf } = read;
  const faults = (fields: readonly FieldError[]): FieldError[] =>
    fields.map(({ pointer, message }) => {
      const line = lineOf(pointer);
      return { pointer, message: line === null ? message : `line ${line}: ${message}` };
    });
  return planOf(value, path, taskOf, faults);
}

/** The same for a plan that came as JSON. */
export function parsePlan(value: unknown, taskOf: (asked: TaskKind | null) => Task): Plan {
  return planOf(value, 'The plan', taskOf, (fields) => [...fields]);
}

/** Digest of a plan: what decisions were made by. */
export function planDigest(plan: Plan): string {
  return `sha256:${createHash('sha256')
    .update(JSON.stringify(sorted(plan)))
    .digest('hex')}`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}

function planOf(
  value: unknown,
  path: string,
  taskOf: (asked: TaskKind | null) => Task,
  tell: (fields: readonly FieldError[]) => FieldError[],
): Plan {
  const fields = formFaults(value);
  if (fields.length > 0) {
    const told = tell(fields).slice(0, MAX_FIELD_ERRORS);
    const [first] = told;
    const place = first!.pointer === '' ? path : `${path}, ${first!.pointer}`;
    throw new SlipwayError(
      'invalid_request',
      told.length === 1 ? `${place}: ${first!.message}` : `${path} has ${told.length} faults`,
      { fields: told, hint: 'docs/guides/rollout-plans.md describes every key.' },
    );
  }
  return builtPlan(value as Written, taskOf((value as { task?: TaskKind }).task ?? null));
}

function formFaults(value: unknown): FieldError[] {
  const fields = faultsOf(checkFrame, value, '');
  if (typeof value !== 'object' || value === null) return fields;
  fields.push(...sourceFaults(value as Written));
  const { stages } = value as Written;
  if (!Array.isArray(stages)) return fields;
  stages.forEach((stage, at) => {
    const pointer = `/stages/${at}`;
    const kindFaults = faultsOf(checkKindOfStage, stage, pointer);
    if (kindFaults.length > 0) {
      fields.push(...kindFaults);
      return;
    }
    const { kind, weight, weights, gates } = stage as Written & { kind: StageKind };
    fields.push(...faultsOf(checkStage[kind]!, stage, pointer));
    if (kind === 'canary' && (weight === undefined) === (weights === undefined))
      fields.push({ pointer, message: 'needs weight or weights, and not both' });
    if (!Array.isArray(gates)) return;
    gates.forEach((gate, place) => {
      fields.push(...gateFormFaults(gate, `${pointer}/gates/${place}`));
    });
  });
  return fields;
}

function gateFormFaults(gate: unknown, pointer: string): FieldError[] {
  const kindFaults = faultsOf(checkKindOfGate, gate, pointer);
  if (kindFaults.length > 0) return kindFaults;
  const { kind, prometheus, webhook } = gate as Written & { kind: GateKind };
  const fields = faultsOf(checkGate[kind]!, gate, pointer);
  if (kind === 'external' && (prometheus === undefined) === (webhook === undefined))
    fields.push({ pointer, message: 'needs prometheus or webhook, and not both' });
  for (const [name, source] of Object.entries({ prometheus, webhook })) {
    const { url } = (source ?? {}) as { url?: unknown };
    if (typeof url === 'string' && !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
      fields.push({ pointer: `${pointer}/${name}/url`, message: 'must be an http or https address' });
  }
  return fields;
}

/** Exactly one place for each value. */
function sourceFaults({ unit, rules, sliceBy }: Written): FieldError[] {
  const fields: FieldError[] = [];
  const look = (value: unknown, pointer: string): void => {
    if (typeof value !== 'object' || value === null) return;
    const given = ['header', 'field', 'pointer'].filter((name) => name in value);
    if (given.length !== 1) fields.push({ pointer, message: 'needs exactly one of header, field and pointer' });
  };
  const isBareUnit = typeof unit === 'object' && unit !== null && Object.keys(unit).every((key) => key === 'key');
  if (!isBareUnit) look(unit, '/unit');
  look(sliceBy, '/sliceBy');
  if (typeof sliceBy === 'object' && sliceBy !== null && 'pointer' in sliceBy)
    fields.push({
      pointer: '/sliceBy/pointer',
      message: 'cannot be followed: the body is gone when a call is counted. Name a header or a field',
    });
  if (!Array.isArray(rules)) return fields;
  rules.forEach((rule, at) => {
    look(rule, `/rules/${at}`);
    const { kind, arm } = (rule ?? {}) as Written;
    if ((kind === 'arm') !== (arm !== undefined))
      fields.push({ pointer: `/rules/${at}/arm`, message: 'is given for kind arm, and for no other' });
  });
  return fields;
}

function faultsOf(check: ReturnType<typeof compile>, value: unknown, pointer: string): FieldError[] {
  const result = check(value);
  if (!('error' in result)) return [];
  return result.error.fields.map((field) => ({ pointer: pointer + field.pointer, message: friendly(field.message) }));
}

function friendly(message: string): string {
  if (message.includes(DURATION_PATTERN)) return 'must be a duration with its unit, such as 10m';
  if (message.includes(SHARE_PATTERN)) return 'must be a share with its unit from 0% to 100%, such as 5%';
  return message;
}
