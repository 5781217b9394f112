/** What is wrong with a plan, before anything moves. Nothing that cannot work is taken, and nothing is quietly done otherwise. */
import type { FieldError } from '../base/errors.ts';
import type { Gate } from './gates/gate.ts';
import { countText, numberText, percentText } from './gates/gate-context.ts';
import { durationText } from './next-phase.ts';
import type { Plan, ShadowStage, Stage, StageKind } from './plan.ts';
import { estimatePlan, type TrafficFacts } from './plan-estimate.ts';

export type PlanFacts = TrafficFacts & {
  /** Whether the endpoint has a version to compare with. */
  readonly hasControl: boolean;
  /** Names of the new version's outputs. */
  readonly outputs: readonly string[];
};

const MAX_STAGES = 20;
const MAX_GATES = 20;
/** With everything that it stands for: a plan is part of its rollout's state. */
const MAX_PLAN_BYTES = 40_000;

const GATES_OF: { readonly [K in Exclude<StageKind, 'approve'>]: readonly Gate['kind'][] } = {
  canary: [
    'rate-ratio',
    'exceedance',
    'mean-difference',
    'output-shift',
    'ceiling',
    'sample-ratio',
    'golden',
    'external',
    'quantile',
  ],
  shadow: ['shadow', 'paired-accuracy', 'golden', 'external'],
  'blue-green': ['golden', 'external'],
  promote: ['ceiling', 'external', 'quantile'],
};

/** Every fault, with a pointer into the plan. */
export function planFaults(plan: Plan, facts: PlanFacts): FieldError[] {
  const faults = structureFaults(plan, facts);
  plan.stages.forEach((stage, at) => {
    faults.push(...stageFaults(stage, `/stages/${at}`, facts));
  });
  // What a broken plan would need is not worth telling.
  return faults.length > 0 ? faults : trafficFaults(plan, facts);
}

function structureFaults(plan: Plan, facts: PlanFacts): FieldError[] {
  const faults: FieldError[] = [];
  const add = (pointer: string, message: string): number => faults.push({ pointer, message });
  const { stages } = plan;
  if (stages.length === 0) add('/stages', 'has no stage');
  if (stages.length > MAX_STAGES) add('/stages', `has more than ${MAX_STAGES} stages`);
  const bytes = Buffer.byteLength(JSON.stringify(plan));
  if (bytes > MAX_PLAN_BYTES)
    add(
      '',
      `is ${countText(bytes)} bytes with what it stands for, more than ${countText(MAX_PLAN_BYTES)}: fewer stages, gates or listed values`,
    );
  const names = new Set<string>();
  let weight = 0;
  stages.forEach((stage, at) => {
    const pointer = `/stages/${at}`;
    if (names.has(stage.name)) add(`${pointer}/name`, `is the name of another stage too: ${stage.name}`);
    names.add(stage.name);
    if (stage.kind === 'promote' && at !== stages.length - 1) add(pointer, 'promotes, so it must be the last stage');
    if (stage.kind === 'canary') {
      if (stage.weight <= weight)
        add(
          `${pointer}/weight`,
          `is not above ${percentText(weight)} of the stage before: units would go back to control`,
        );
      weight = stage.weight;
    }
    if (!facts.hasControl && (stage.kind === 'canary' || stage.kind === 'shadow'))
      add(pointer, 'compares with the current version, and there is none yet: take blue-green, approve and promote');
  });
  const last = stages.at(-1);
  const judges = stages.filter((stage) => stage.kind !== 'promote');
  if (last?.kind === 'promote' && !judges.some(isJudging))
    add('/stages', 'promotes without a guardrail that passes or a person who approves before it');
  if (stages.some((stage) => stage.kind === 'canary') && last?.kind !== 'promote')
    add('/stages', 'ends with a canary stage: add a stage of kind promote, or the version would stay half way');
  if (plan.holdoutShare > 0.5) add('/holdoutShare', 'holds out more than half of all units');
  const dwellMs = stages.reduce((sum, stage) => sum + ('minDwellMs' in stage ? stage.minDwellMs : 0), 0);
  if (dwellMs > plan.deadlineMs)
    add('/deadline', `is shorter than the ${durationText(dwellMs)} that the stages take at least`);
  return faults;
}

/** Whether a stage can say that the version is well: by a guardrail, or by a person. */
function isJudging(stage: Stage): boolean {
  if (stage.kind === 'approve') return true;
  if (stage.kind === 'promote') return false;
  return stage.approve !== null || stage.gates.some((gate) => gate.role === 'guardrail');
}

function stageFaults(stage: Stage, pointer: string, facts: PlanFacts): FieldError[] {
  const faults: FieldError[] = [];
  const add = (at: string, message: string): number => faults.push({ pointer: `${pointer}${at}`, message });
  if (stage.kind === 'approve') return faults;
  if (stage.kind !== 'promote' && !isJudging(stage))
    add('/gates', 'has neither a guardrail that passes nor an approval, so the stage would never end');
  if (stage.kind === 'canary') {
    if (!(stage.weight > 0 && stage.weight < 1))
      add('/weight', 'must be above 0 % and below 100 %; promote goes to 100 %');
    if (stage.control === 'concurrent-equal' && stage.weight > 0.5)
      add('/control', 'cannot be concurrent-equal above 50 %: there are not as many others; take rest');
  }
  if (stage.gates.length > MAX_GATES) add('/gates', `has more than ${MAX_GATES} gates`);
  const names = new Set<string>();
  stage.gates.forEach((gate, at) => {
    const own = `/gates/${at}`;
    if (names.has(gate.name)) add(`${own}/name`, `is the name of another gate of the stage too: ${gate.name}`);
    names.add(gate.name);
    if (!GATES_OF[stage.kind].includes(gate.kind))
      add(`${own}/kind`, `${gate.kind} has nothing to look at in a ${stage.kind} stage`);
    for (const [field, message] of gateFaults(gate, facts)) add(`${own}${field}`, message);
  });
  return faults;
}

function gateFaults(gate: Gate, facts: PlanFacts): [field: string, message: string][] {
  const faults: [string, string][] = [];
  const role = (...allowed: Gate['role'][]): void => {
    if (!allowed.includes(gate.role)) faults.push(['/role', `must be ${allowed.join(' or ')} for ${gate.kind}`]);
  };
  const outputKnown = (name: string): boolean => facts.outputs.length === 0 || facts.outputs.includes(name);
  switch (gate.kind) {
    case 'ceiling':
      role('tripwire', 'report');
      if (gate.consecutiveErrors === null && gate.errorRate === null)
        faults.push(['', 'has no limit: set consecutiveErrors, errorRate or both']);
      break;
    case 'sample-ratio':
      role('tripwire', 'report');
      break;
    case 'quantile':
      role('report');
      break;
    case 'output-shift':
      role('signal', 'report');
      if (gate.margin <= 1) faults.push(['/margin', 'must be above 1, or an equal version is a failure']);
      if (!outputKnown(gate.output))
        faults.push(['/output', `is no output of the version: ${facts.outputs.join(', ')}`]);
      break;
    case 'rate-ratio':
    case 'exceedance':
    case 'paired-accuracy': {
      if (gate.failMargin < 1) faults.push(['/failMargin', 'must be at least 1, or an equal version is a failure']);
      if (gate.passMargin !== null && gate.passMargin <= 1)
        faults.push(['/passMargin', 'must be above 1: that an equal version is better can never be shown']);
      const below = gate.kind === 'rate-ratio' ? gate.passBelow : null;
      if (gate.role === 'guardrail' && gate.passMargin === null && below === null)
        faults.push(['/role', 'is guardrail, but the gate can never pass: set passMargin, or make it a tripwire']);
      break;
    }
    case 'mean-difference':
      if (gate.failMargin < 0) faults.push(['/failMargin', 'must not be negative']);
      if (gate.passMargin !== null && gate.passMargin <= 0) faults.push(['/passMargin', 'must be above 0']);
      if (gate.role === 'guardrail' && gate.passMargin === null)
        faults.push(['/role', 'is guardrail, but the gate can never pass: set passMargin, or make it a tripwire']);
      break;
    case 'external': {
      const url = URL.parse(gate.source.url);
      if (url !== null && url.username + url.password !== '')
        faults.push([`/${gate.source.kind}/url`, 'must not carry a user or password']);
      if (gate.failAbove === null && gate.failBelow === null)
        faults.push(['', 'has no limit: set failAbove, failBelow or both']);
      if (gate.failAbove !== null && gate.failBelow !== null && gate.failAbove < gate.failBelow)
        faults.push(['/failAbove', 'is below failBelow, so every value fails']);
      if (gate.timeoutMs >= gate.everyMs) faults.push(['/timeout', 'must be shorter than every']);
      break;
    }
    case 'shadow':
    case 'golden':
      role('guardrail', 'report');
      break;
  }
  if ('alpha' in gate && !(gate.alpha > 0 && gate.alpha <= 0.5))
    faults.push(['/alpha', 'must be above 0 and at most 0.5']);
  return faults;
}

/** What this traffic cannot do in time, or cannot bear. Without traffic nothing can be said: the rollout will wait for evidence. */
function trafficFaults(plan: Plan, facts: PlanFacts): FieldError[] {
  const { callsPerS } = facts;
  if (callsPerS === null || callsPerS <= 0) return [];
  const faults: FieldError[] = [];
  const estimates = estimatePlan(plan, facts);
  const rate = `${numberText(callsPerS)} calls/s`;
  plan.stages.forEach((stage, at) => {
    const pointer = `/stages/${at}`;
    const estimate = estimates[at]!;
    estimate.gates.forEach((gate) => {
      const gateAt = stage.kind === 'approve' ? -1 : stage.gates.findIndex((one) => one.name === gate.gate);
      const needed = gate.calls === null ? Number.POSITIVE_INFINITY : (gate.calls / callsPerS) * 1000;
      if (needed <= plan.stageBudgetMs) return;
      const told = gate.calls === null ? 'more calls than can be counted' : `${countText(gate.calls)} calls`;
      const time = gate.calls === null ? '' : `, ${durationText(needed)} at ${rate}`;
      faults.push({
        pointer: `${pointer}/gates/${gateAt}`,
        message: `cannot pass within the stage's budget of ${durationText(plan.stageBudgetMs)}: it needs about ${told}${time}. Widen its passMargin, raise the weight, or give more time (stageBudget, deadline)`,
      });
    });
    if (stage.kind === 'shadow') faults.push(...shadowFaults(stage, pointer, facts, callsPerS));
    const { capacityPerS } = facts;
    if (stage.kind === 'canary' && capacityPerS !== null) {
      const load = stage.weight * callsPerS;
      if (load > capacityPerS)
        faults.push({
          pointer: `${pointer}/weight`,
          message: `sends ${numberText(load)} calls/s to the new version, which can answer ${numberText(capacityPerS)}`,
        });
    }
  });
  const totalMs = estimates.reduce((sum, one) => sum + (one.ms ?? 0), 0);
  if (faults.length === 0 && totalMs > plan.deadlineMs)
    faults.push({
      pointer: '/deadline',
      message: `${durationText(plan.deadlineMs)} is too short: at ${rate} the stages need about ${durationText(totalMs)}`,
    });
  return faults;
}

/** By Little's law: copies in flight are those a second times how long each takes. */
function shadowFaults(stage: ShadowStage, pointer: string, facts: PlanFacts, callsPerS: number): FieldError[] {
  const { latencyMs, bodyBytes } = facts;
  if (latencyMs === null) return [];
  const inFlight = (callsPerS * Math.max(stage.sampleShare, stage.noiseFloorShare) * latencyMs) / 1000;
  const faults: FieldError[] = [];
  if (inFlight > stage.maxInFlight)
    faults.push({
      pointer: `${pointer}/sample`,
      message: `would have ${countText(inFlight)} copies in flight, and ${stage.maxInFlight} are allowed: lower it, or raise maxInFlight`,
    });
  if (bodyBytes !== null && inFlight * bodyBytes > stage.maxBytesInFlight)
    faults.push({
      pointer: `${pointer}/sample`,
      message: `would have ${countText(inFlight * bodyBytes)} bytes in flight, and ${countText(stage.maxBytesInFlight)} are allowed`,
    });
  return faults;
}
