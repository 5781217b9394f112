/** Routes the calls of endpoints whose traffic is split: reads what decides from the call, asks `assign`, and looks up the arm's version. */
import { can, notPermitted, type Principal } from '../../base/access/permission.ts';
import { closestWord } from '../../base/closest-word.ts';
import { SlipwayError } from '../../base/errors.ts';
import { type Assignment, assign } from '../endpoints/assignment.ts';
import { ARM_HEADER, type TrafficSplit, UNIT_HEADER, type ValueSource } from '../endpoints/traffic.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { ServedVersion } from './served-version.ts';
import type { ServedEndpoint, ServedSplit } from './serving-state.ts';
import { shown } from './shown-text.ts';

/** What of a call may decide its arm. */
export type SplitCall = {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Those that are not among them, where only some are. */
  readonly moreHeaders?: ReadonlyMap<string, string> | null;
  readonly requestId: string;
  readonly principal: Principal | null;
  /** Null before the body was read. */
  readonly content: CallContent | null;
};

export type CallContent = {
  readonly inputs: readonly Tensor[];
  /** As it was sent, for JSON pointers; null where it is no JSON. */
  readonly body: Uint8Array | null;
};

/** Longer units are not looked up in anything; callers choose them. */
const LONGEST_VALUE = 256;

/** Whether arms are decided by something in the body: then a call has its arm only when that was read. */
export function readsContent(split: TrafficSplit): boolean {
  return split.unit.from.kind !== 'header' || split.rules.some((rule) => rule.of.kind !== 'header');
}

/**
 * The arm of a call and its version. Without a version that can answer, the arm is the fallback, and its version that which the endpoint has.
 * @throws SlipwayError `not_permitted`, `invalid_request` for an arm named in the header
 */
export function routeSplit(
  endpoint: ServedEndpoint,
  split: ServedSplit,
  call: SplitCall,
): { readonly version: ServedVersion | null; readonly assignment: Assignment } {
  const { spec, arms } = split;
  const pointers = new Map<string, string | null>();
  const readValue = (source: ValueSource): string | null => {
    switch (source.kind) {
      case 'header':
        return bounded(call.headers[source.name] ?? call.moreHeaders?.get(source.name));
      case 'field':
        return bounded(call.content === null ? null : firstOf(call.content.inputs, source.name));
      case 'pointer': {
        const known = pointers.get(source.pointer);
        if (known !== undefined) return known;
        const value = bounded(call.content === null ? null : valueAt(call.content.body, source.pointer));
        pointers.set(source.pointer, value);
        return value;
      }
    }
  };
  const assignment = assign(spec, {
    unit: unitOf(spec, call, readValue),
    pinnedArm: pinnedArm(endpoint, spec, call),
    readValue,
    isReady: (arm) => arms.get(arm.name)?.isUp === true,
  });
  const own = assignment.arm === null ? undefined : arms.get(assignment.arm);
  // The fallback answers as the endpoint itself would: also while its version is replaced, or starts again.
  return { version: own?.wasReady ? own : endpoint.serving, assignment };
}

/** The slice that a call's counts belong to. JSON pointers are not followed: the body is gone when it is counted. */
export function sliceOf(
  split: ServedSplit | null,
  headers: SplitCall['headers'],
  moreHeaders: SplitCall['moreHeaders'],
  inputs: readonly Tensor[] | null,
): string | null {
  const source = split?.spec.measure.sliceBy ?? null;
  if (source === null) return null;
  if (source.kind === 'header') return bounded(headers[source.name] ?? moreHeaders?.get(source.name));
  return source.kind === 'field' && inputs !== null ? bounded(firstOf(inputs, source.name)) : null;
}

function unitOf(
  { unit }: TrafficSplit,
  call: SplitCall,
  readValue: (source: ValueSource) => string | null,
): string | null {
  const own = readValue(unit.from) ?? bounded(call.headers[UNIT_HEADER]);
  return own ?? (unit.key === 'request' ? call.requestId : null);
}

function pinnedArm({ spec }: ServedEndpoint, split: TrafficSplit, { headers, principal }: SplitCall): string | null {
  const name = headers[ARM_HEADER];
  if (name === undefined) return null;
  if (principal !== null && !can(principal, 'deploy', spec.project, spec.model)) {
    throw notPermitted(principal, 'deploy', spec.model);
  }
  const names = split.arms.map((arm) => arm.name);
  if (typeof name === 'string' && names.includes(name)) return name;
  const near = typeof name === 'string' ? closestWord(name.slice(0, 100), names) : null;
  throw new SlipwayError('invalid_request', `The endpoint ${spec.name} has no arm ${shown(String(name))} now`, {
    hint: near === null ? `Its arms: ${names.join(', ')}.` : `Did you mean ${near}?`,
  });
}

function bounded(value: string | readonly string[] | null | undefined): string | null {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST_VALUE ? value : null;
}

/** The value of an input's first row, where a row has one. */
function firstOf(inputs: readonly Tensor[], name: string): string | null {
  const tensor = inputs.find((one) => one.name === name);
  if (tensor === undefined || tensor.shape.slice(1).some((size) => size !== 1) || tensor.data.length === 0) return null;
  const [value] = tensor.data;
  return value === undefined ? null : String(value);
}

/** A text, number or truth value at a JSON pointer (RFC 6901); null for anything else, and where there is nothing. */
function valueAt(body: Uint8Array | null, pointer: string): string | null {
  if (body === null) return null;
  let at: unknown;
  try {
    at = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch {
    return null;
  }
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return null;
    at = (at as Record<string, unknown>)[name];
  }
  return typeof at === 'string' || typeof at === 'number' || typeof at === 'boolean' ? String(at) : null;
}
