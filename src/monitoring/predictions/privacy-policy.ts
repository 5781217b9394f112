/**
 * What may be kept of an endpoint's predictions, decided before anything touches a disk. Without a policy no prediction is logged, and
 * profiles are made of all columns. Pure.
 */
import { closestWord } from '../../base/closest-word.ts';
import { type FieldError, SlipwayError } from '../../base/errors.ts';
import { mapOf, type TellFault, tellUnknown } from '../document-faults.ts';

export type FieldAction =
  | { readonly action: 'keep' }
  /** The value is forgotten at once; not even its profile is made. */
  | { readonly action: 'drop' }
  /** A keyed hash (HMAC-SHA-256, 128 bits): equal values stay equal, and nobody without the project's key can try values out. */
  | { readonly action: 'hash' }
  /** The first characters of a text. */
  | { readonly action: 'truncate'; readonly chars: number }
  /** The lower end of the interval of this width that a number lies in. */
  | { readonly action: 'bucket'; readonly width: number };

export type PrivacyPolicy = {
  /** Share of predictions that are logged with their values, from 0 (none) to 1. */
  readonly sample: number;
  /** Whether profiles are made. */
  readonly profile: boolean;
  /** By column (`input.age`), by side (`input.*`, `output.*`), or one of `unit`, `feedback.text`, `feedback.truth`, `feedback.correction`. */
  readonly fields: Readonly<Record<string, FieldAction>>;
  /** Column whose value says whose prediction it is (or `unit`): by it predictions are found and erased. */
  readonly subject: string | null;
  /** Column whose value feedback may name instead of the prediction's id. */
  readonly joinKey: string | null;
  /** Columns by whose values profiles are made apart. */
  readonly slices: readonly string[];
  readonly retention: Retention;
};

/** Days that things are kept. */
export type Retention = { readonly payloadDays: number; readonly feedbackDays: number };

export const MAX_SLICES = 4;
/** Fields that are no columns, with their kinds: what somebody says may be any value. */
const OTHER_FIELDS = [
  { name: 'unit', kind: 'text' },
  { name: 'feedback.text', kind: 'text' },
  { name: 'feedback.truth', kind: 'any' },
  { name: 'feedback.correction', kind: 'any' },
] as const;

export const DEFAULT_POLICY: PrivacyPolicy = {
  sample: 0,
  profile: true,
  fields: {},
  subject: null,
  joinKey: null,
  slices: [],
  retention: { payloadDays: 30, feedbackDays: 730 },
};

const KEEP: FieldAction = { action: 'keep' };
const HASH: FieldAction = { action: 'hash' };
const DROP: FieldAction = { action: 'drop' };

/** What becomes of a field, and which line of the policy says so; null: the default does. */
export function actionOf(
  policy: PrivacyPolicy,
  field: string,
): { readonly action: FieldAction; readonly by: string | null } {
  const own = Object.hasOwn(policy.fields, field) ? policy.fields[field] : undefined;
  if (own !== undefined) return { action: own, by: field };
  const side = /^(input|output)\./.exec(field)?.[1];
  const wildcard = side === undefined ? undefined : policy.fields[`${side}.*`];
  if (wildcard !== undefined) return { action: wildcard, by: `${side}.*` };
  // Who a unit is, is seldom needed, and that it is the same one often.
  return { action: field === 'unit' ? HASH : KEEP, by: null };
}

export type FieldPlan = {
  readonly field: string;
  readonly kind: string;
  readonly action: FieldAction;
  /** The line of the policy that says so; null: the default. */
  readonly by: string | null;
  /** What the field is besides: subject, join key, slice. */
  readonly uses: readonly string[];
};

/**
 * A policy as people write it, checked. Every fault is told at once.
 * @param fields names and kinds of the columns of the endpoint's version; null where it has none yet, and names are taken as they are
 * @throws SlipwayError `invalid_request`
 */
export function parsePolicy(
  document: unknown,
  fields: readonly { readonly name: string; readonly kind: string }[] | null,
): PrivacyPolicy {
  const faults: FieldError[] = [];
  const fault: TellFault = (pointer, message) => void faults.push({ pointer, message });
  const given = mapOf(document, '', fault);
  tellUnknown(given, ['sample', 'profile', 'fields', 'subject', 'joinKey', 'slices', 'retention'], '', fault);
  const known = fields === null ? null : [...fields, ...OTHER_FIELDS];
  const names = known?.map((field) => field.name) ?? null;
  const assertField = (name: string, pointer: string, wildcards: boolean): void => {
    if (wildcards && (name === 'input.*' || name === 'output.*')) return;
    if (names === null || names.includes(name)) return;
    const near = closestWord(name, names);
    fault(pointer, near ? `is no field here; did you mean ${near}?` : 'is no field of this endpoint');
  };

  const sample = given['sample'] ?? DEFAULT_POLICY.sample;
  if (typeof sample !== 'number' || !(sample >= 0 && sample <= 1)) fault('/sample', 'must be a share from 0 to 1');
  const profile = given['profile'] ?? DEFAULT_POLICY.profile;
  if (typeof profile !== 'boolean') fault('/profile', 'must be true or false');

  const actions: Record<string, FieldAction> = {};
  for (const [name, text] of Object.entries(mapOf(given['fields'] ?? {}, '/fields', fault))) {
    const pointer = `/fields/${name}`;
    assertField(name, pointer, true);
    const action = parseAction(text);
    if (typeof action === 'string') fault(pointer, action);
    else {
      const kind = known?.find((field) => field.name === name)?.kind;
      const wrong = kind === undefined ? null : unfit(action, kind);
      if (wrong !== null) fault(pointer, wrong);
      actions[name] = action;
    }
  }

  const fieldOf = (key: 'subject' | 'joinKey'): string | null => {
    const name = given[key] ?? null;
    if (name === null) return null;
    if (typeof name !== 'string') fault(`/${key}`, 'must be the name of a field');
    else if (!/^(input|output)\.|^unit$/.test(name)) fault(`/${key}`, 'must be an input, an output or unit');
    else assertField(name, `/${key}`, false);
    if (fields?.find((field) => field.name === name)?.kind === 'vector')
      fault(`/${key}`, 'is a vector: it names nobody');
    return String(name);
  };
  const subject = fieldOf('subject');
  const joinKey = fieldOf('joinKey');
  const slices = Array.isArray(given['slices']) ? given['slices'].map(String) : [];
  if (given['slices'] !== undefined && !Array.isArray(given['slices'])) fault('/slices', 'must be a list of fields');
  if (slices.length > MAX_SLICES) fault('/slices', `names more than ${MAX_SLICES} fields`);
  for (const [at, name] of slices.entries()) {
    assertField(name, `/slices/${at}`, false);
    const kind = fields?.find((field) => field.name === name)?.kind;
    if (kind === 'vector') fault(`/slices/${at}`, 'is a vector: it has no values to tell apart');
    if (!/^(input|output)\./.test(name)) fault(`/slices/${at}`, 'must be an input or an output');
    if (name === subject || name === joinKey) fault(`/slices/${at}`, 'says who it is: slices are of many');
  }
  const retention = mapOf(given['retention'] ?? {}, '/retention', fault);
  tellUnknown(retention, ['payloadDays', 'feedbackDays'], '/retention', fault);
  const days = (key: keyof Retention): number => {
    const value = retention[key] ?? DEFAULT_POLICY.retention[key];
    if (typeof value === 'number' && value > 0 && value <= 36_500) return value;
    fault(`/retention/${key}`, 'must be a number of days above 0');
    return DEFAULT_POLICY.retention[key];
  };
  const policy: PrivacyPolicy = {
    sample: sample as number,
    profile: profile as boolean,
    fields: actions,
    subject,
    joinKey,
    slices,
    retention: { payloadDays: days('payloadDays'), feedbackDays: days('feedbackDays') },
  };
  for (const [key, name] of [
    ['/subject', subject],
    ['/joinKey', joinKey],
    ...slices.map((slice, at) => [`/slices/${at}`, slice] as const),
  ] as const) {
    if (name !== null && actionOf(policy, name).action.action === 'drop')
      fault(key, `${name} is dropped by the policy itself`);
  }
  if (faults.length === 0) return policy;
  throw new SlipwayError(
    'invalid_request',
    faults.length === 1
      ? `The policy is not valid: ${faults[0]!.pointer} ${faults[0]!.message}`
      : `The policy has ${faults.length} faults`,
    {
      fields: faults,
      hint: names === null ? 'Mend it, then send it again.' : `Fields are ${names.slice(0, 40).join(', ')}.`,
    },
  );
}

/** What a policy means for each field. */
export function planFields(
  policy: PrivacyPolicy,
  fields: readonly { readonly name: string; readonly kind: string }[],
): FieldPlan[] {
  return [...fields, ...OTHER_FIELDS].map(({ name, kind }) => {
    const uses = [
      ...(policy.subject === name ? ['subject'] : []),
      ...(policy.joinKey === name ? ['join key'] : []),
      ...(policy.slices.includes(name) ? ['slice'] : []),
    ];
    const { action, by } = actionOf(policy, name);
    return { field: name, kind, action: unfit(action, kind) === null ? action : DROP, by, uses };
  });
}

/** Why an action cannot be done to values of a kind; such a field is dropped. */
export function unfit(action: FieldAction, kind: string): string | null {
  if (kind === 'any') return null;
  if (action.action === 'bucket' && kind !== 'number' && kind !== 'integer')
    return `bucket is for numbers, and this is ${kind}`;
  if (action.action === 'truncate' && kind !== 'text') return `truncate is for text, and this is ${kind}`;
  if (action.action === 'hash' && kind === 'vector') return 'a vector cannot be hashed; drop it or keep it';
  return null;
}

function parseAction(given: unknown): FieldAction | string {
  const rule = 'must be keep, drop, hash, {truncate: characters} or {bucket: width}';
  if (given === 'keep' || given === 'drop' || given === 'hash') return { action: given };
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return rule;
  // As a policy is shown, so that what was read may be sent back.
  if ('action' in given) {
    const { action, chars, width } = given as { action: unknown; chars?: unknown; width?: unknown };
    if (action === 'truncate') return parseAction({ truncate: chars });
    return parseAction(action === 'bucket' ? { bucket: width } : action);
  }
  const entries = Object.entries(given);
  if (entries.length !== 1) return rule;
  const [name, size] = entries[0]!;
  if (name === 'truncate') {
    return typeof size === 'number' && Number.isInteger(size) && size >= 1 && size <= 1000
      ? { action: name, chars: size }
      : 'truncate needs a number of characters from 1';
  }
  if (name === 'bucket') {
    return typeof size === 'number' && size > 0 && Number.isFinite(size)
      ? { action: name, width: size }
      : 'bucket needs a width above 0';
  }
  return rule;
}
