/**
 * Which arm a call belongs to. Pure: the gateway asks it for every call of an endpoint whose traffic is split.
 * Order: kill switch, operator's pin, rules (tenant, region), holdout, layer, enrolment, hash. Nothing of a unit is remembered: the hash says the same
 * every time, at every gateway and after every restart (docs/decisions/0032-no-records-of-units.md).
 */
import { fractionOf } from './assignment-hash.ts';
import type { Arm, TrafficSplit, ValueSource } from './traffic.ts';

export type AssignmentReason =
  /** The endpoint has no split. */
  | 'whole'
  | 'kill-switch'
  | 'pin'
  | 'rule'
  | 'holdout'
  | 'layer'
  | 'not-enrolled'
  /** The call names no unit: it is never thrown for one at random. */
  | 'unassigned'
  /** Its arm cannot answer here and now; control does. */
  | 'arm-not-ready'
  | 'hash';

/** Logged with each prediction. */
export type Assignment = {
  /** null where the endpoint has no split. */
  readonly arm: string | null;
  readonly reason: AssignmentReason;
  /** Probability, over the salts, that a call like this one gets this arm for this reason; 1 where nothing was drawn. */
  readonly propensity: number;
  readonly unit: string | null;
  readonly planVersion: string | null;
  readonly epoch: number;
};

export type AssignmentRequest = {
  /** The unit, as `split.unit` says where it stands; for the key `request` the request id where the caller names none. */
  readonly unit: string | null;
  /** The arm named by an authenticated operator. */
  readonly pinnedArm: string | null;
  /** Reads a value that rules ask for; null where the call does not carry it. */
  readonly readValue: (source: ValueSource) => string | null;
  /** Whether the arm's version can answer here and now. */
  readonly isReady: (arm: Arm) => boolean;
};

/** What calls of an endpoint without a split carry. */
export const WHOLE: Assignment = {
  arm: null,
  reason: 'whole',
  propensity: 1,
  unit: null,
  planVersion: null,
  epoch: 0,
};

/** Whether a prediction belongs to the comparison: everybody else is served and not analysed. */
export function isAnalysed(split: TrafficSplit, assignment: Assignment): boolean {
  if (assignment.reason !== 'hash') return false;
  return split.arms.some((arm) => arm.name === assignment.arm && arm.isAnalysed);
}

export function assign(split: TrafficSplit, request: AssignmentRequest): Assignment {
  const { unit } = request;
  const given = (arm: string, reason: AssignmentReason, propensity: number): Assignment => ({
    arm,
    reason,
    propensity,
    unit,
    planVersion: split.planVersion,
    epoch: split.epoch,
  });
  const ifReady = (name: string, reason: AssignmentReason, propensity: number): Assignment => {
    const arm = armNamed(split, name);
    if (name === split.fallback || (arm !== undefined && request.isReady(arm))) return given(name, reason, propensity);
    return given(split.fallback, 'arm-not-ready', propensity);
  };
  if (split.isKilled) return given(split.fallback, 'kill-switch', 1);
  if (request.pinnedArm !== null && armNamed(split, request.pinnedArm) !== undefined)
    return ifReady(request.pinnedArm, 'pin', 1);
  for (const rule of split.rules) {
    const value = request.readValue(rule.of);
    const isListed = value !== null && rule.values.includes(value);
    if (rule.kind === 'arm' && isListed) return ifReady(rule.arm, 'rule', 1);
    if (rule.kind === 'never' && isListed) return given(split.fallback, 'rule', 1);
    if (rule.kind === 'only' && !isListed) return given(split.fallback, 'rule', 1);
  }
  if (unit === null) return given(split.fallback, 'unassigned', 1);
  const { salts, hashVersion } = split;
  let propensity = 1;
  if (split.holdoutShare > 0) {
    if (fractionOf(salts.holdout, unit, hashVersion) < split.holdoutShare)
      return given(split.fallback, 'holdout', split.holdoutShare);
    propensity *= 1 - split.holdoutShare;
  }
  const [slotFrom, slotTo] = split.layerSlot;
  if (slotFrom > 0 || slotTo < 1) {
    const at = fractionOf(salts.layer, unit, hashVersion);
    const width = slotTo - slotFrom;
    if (at < slotFrom || at >= slotTo) return given(split.fallback, 'layer', propensity * (1 - width));
    propensity *= width;
  }
  if (split.enrolmentShare < 1) {
    if (fractionOf(salts.enrolment, unit, hashVersion) >= split.enrolmentShare)
      return given(split.fallback, 'not-enrolled', propensity * (1 - split.enrolmentShare));
    propensity *= split.enrolmentShare;
  }
  const at = fractionOf(salts.arm, unit, hashVersion);
  const arm = armAt(split.arms, at);
  if (arm === null) return given(split.fallback, 'not-enrolled', propensity * (1 - covered(split.arms)));
  return ifReady(arm.name, 'hash', propensity * widthOf(arm));
}

/** The arm whose half-open range has this fraction; null when none has. */
export function armAt(arms: readonly Arm[], fraction: number): Arm | null {
  for (const arm of arms) {
    for (const [from, to] of arm.ranges) if (fraction >= from && fraction < to) return arm;
  }
  return null;
}

function armNamed(split: TrafficSplit, name: string): Arm | undefined {
  return split.arms.find((arm) => arm.name === name);
}

function widthOf(arm: Arm): number {
  return arm.ranges.reduce((sum, [from, to]) => sum + (to - from), 0);
}

function covered(arms: readonly Arm[]): number {
  return arms.reduce((sum, arm) => sum + widthOf(arm), 0);
}
