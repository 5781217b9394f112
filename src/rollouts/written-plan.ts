/** A plan as people write it, with what they left out; its form was checked before (`plan-file.ts`). */
import type { TrafficRule, UnitSpec, ValueSource } from '../serving/endpoints/traffic.ts';
import type { Gate } from './gates/gate.ts';
import { outcomeOf } from './outcomes.ts';
import type { Approval, OnInconclusive, Plan, Stage, StageKind } from './plan.ts';
import {
  builtInPlan,
  CANARY_DEFAULTS,
  CEILING,
  canaryGates,
  LABEL_SHARES,
  PLAN_DEFAULTS,
  PROMOTE_DEFAULTS,
  SHADOW_DEFAULTS,
  SHARES,
  type Strategy,
  shadowGates,
  weightName,
} from './strategies.ts';
import type { Task } from './task.ts';
import { gateOf } from './written-gate.ts';
import { milliseconds, share, type Written } from './written-values.ts';

export function builtPlan(written: Written, task: Task): Plan {
  const strategy = written['strategy'] as Strategy | undefined;
  const stages = written['stages'] as Written[] | undefined;
  const base = builtInPlan(strategy ?? 'canary', task);
  const layer = written['layer'] as Written | undefined;
  const loss = (written['onTelemetryLoss'] ?? {}) as Written;
  const unit = written['unit'] as (Written & { key: UnitSpec['key'] }) | undefined;
  return {
    strategy: stages === undefined ? base.strategy : 'custom',
    unit: unit === undefined ? PLAN_DEFAULTS.unit : { key: unit.key, from: sourceOf(unit) ?? PLAN_DEFAULTS.unit.from },
    rules: ((written['rules'] as Written[] | undefined) ?? []).map(ruleOf),
    holdoutShare: share(written['holdout'], PLAN_DEFAULTS.holdoutShare),
    labelDelayMs: milliseconds(written['labelDelay'], PLAN_DEFAULTS.labelDelayMs),
    layer:
      layer === undefined
        ? null
        : { name: String(layer['name']), slot: [share(layer['from'], 0), share(layer['to'], 1)] },
    sliceBy: sourceOf((written['sliceBy'] ?? {}) as Written),
    stages: stages === undefined ? base.stages : stages.flatMap((stage) => stagesOf(stage, task)),
    onFail: (written['onFail'] as Plan['onFail'] | undefined) ?? PLAN_DEFAULTS.onFail,
    onInconclusive: inconclusiveOf(written['onInconclusive']),
    onInvalid: (written['onInvalid'] as Plan['onInvalid'] | undefined) ?? PLAN_DEFAULTS.onInvalid,
    onTelemetryLoss: {
      afterMs: milliseconds(loss['after'], PLAN_DEFAULTS.onTelemetryLoss.afterMs),
      do: (loss['do'] as 'pause' | 'rollback' | undefined) ?? PLAN_DEFAULTS.onTelemetryLoss.do,
    },
    provisionTimeoutMs: milliseconds(written['provisionTimeout'], PLAN_DEFAULTS.provisionTimeoutMs),
    stageBudgetMs: milliseconds(written['stageBudget'], PLAN_DEFAULTS.stageBudgetMs),
    deadlineMs: milliseconds(written['deadline'], PLAN_DEFAULTS.deadlineMs),
  };
}

function inconclusiveOf(given: unknown): OnInconclusive {
  if (given === 'pause' || given === 'rollback') return { do: given };
  const { extend, ask } = (given ?? {}) as { extend?: number; ask?: string };
  if (extend !== undefined) return { do: 'extend', times: extend };
  return ask === undefined ? PLAN_DEFAULTS.onInconclusive : { do: 'ask', approver: ask };
}

function sourceOf({ header, field, pointer }: Written): ValueSource | null {
  if (typeof header === 'string') return { kind: 'header', name: header.toLowerCase() };
  if (typeof field === 'string') return { kind: 'field', name: field };
  return typeof pointer === 'string' ? { kind: 'pointer', pointer } : null;
}

function ruleOf(rule: Written, at: number): TrafficRule {
  const name = String(rule['name'] ?? `rule-${at + 1}`);
  const part = { name, of: sourceOf(rule)!, values: rule['values'] as string[] };
  const kind = rule['kind'] as TrafficRule['kind'];
  return kind === 'arm' ? { kind, ...part, arm: String(rule['arm']) } : { kind, ...part };
}

function approvalOf(given: unknown): Approval | null {
  if (given === undefined || given === false) return null;
  const { count = 1, separateDuties = true } = (given === true ? {} : given) as Partial<Approval>;
  return { count, separateDuties };
}

function stagesOf(written: Written, task: Task): Stage[] {
  const kind = written['kind'] as StageKind;
  const name = String(written['name'] ?? kind);
  const own = written['gates'] as Written[] | undefined;
  const gates = (byDefault: () => Gate[]): Gate[] => (own === undefined ? byDefault() : own.map(gateOf));
  const judged = {
    minDwellMs: milliseconds(written['minDwell'], kind === 'blue-green' ? 0 : CANARY_DEFAULTS.minDwellMs),
    approve: approvalOf(written['approve']),
  };
  switch (kind) {
    case 'canary':
      return ((written['weights'] ?? [written['weight']]) as string[]).map((text) => {
        const weight = share(text, 0);
        const named = written['weights'] === undefined ? written['name'] : undefined;
        const control = written['control'] ?? (weight <= 0.5 ? 'concurrent-equal' : 'rest');
        return {
          kind,
          name: String(named ?? weightName(weight)),
          weight,
          control: control as 'concurrent-equal' | 'rest',
          minExposures: (written['minExposures'] as number | undefined) ?? CANARY_DEFAULTS.minExposures,
          ...judged,
          gates: withShares(
            gates(() => canaryGates(weight, task)),
            task,
          ),
        };
      });
    case 'shadow':
      return [
        {
          kind,
          name,
          sampleShare: share(written['sample'], SHADOW_DEFAULTS.sampleShare),
          noiseFloorShare: share(written['noiseFloor'], SHADOW_DEFAULTS.noiseFloorShare),
          also: (written['also'] as number[] | undefined) ?? SHADOW_DEFAULTS.also,
          minPairs: (written['minPairs'] as number | undefined) ?? SHADOW_DEFAULTS.minPairs,
          timeoutMs: milliseconds(written['timeout'], SHADOW_DEFAULTS.timeoutMs),
          maxInFlight: (written['maxInFlight'] as number | undefined) ?? SHADOW_DEFAULTS.maxInFlight,
          maxBytesInFlight: (written['maxBytesInFlight'] as number | undefined) ?? SHADOW_DEFAULTS.maxBytesInFlight,
          ...judged,
          gates: gates(shadowGates),
        },
      ];
    case 'blue-green':
      return [{ kind, name, ...judged, gates: gates(() => []) }];
    case 'approve': {
      const approval = approvalOf({
        ...(written['count'] !== undefined && { count: written['count'] }),
        ...(written['separateDuties'] !== undefined && { separateDuties: written['separateDuties'] }),
      })!;
      return [{ kind, name, approval }];
    }
    case 'promote':
      return [
        {
          kind,
          name,
          soakMs: milliseconds(written['soak'], PROMOTE_DEFAULTS.soakMs),
          keepWarmMs: milliseconds(written['keepWarm'], PROMOTE_DEFAULTS.keepWarmMs),
          gates: gates(() => [CEILING]),
        },
      ];
  }
}

/** Without the test of shares nothing that is compared can be believed, so a plan cannot leave it out. */
function withShares(gates: readonly Gate[], task: Task): Gate[] {
  const has = (of: string): boolean => gates.some((gate) => gate.kind === 'sample-ratio' && gate.of === of);
  const outputs = task.outputs.map((one) => one.output);
  const looksAtFeedback = gates.some((gate) => outcomeOf(gate, outputs) !== null);
  return [
    ...gates,
    ...(has('assignments') ? [] : [SHARES]),
    ...(looksAtFeedback && !has('outcomes') ? [LABEL_SHARES] : []),
  ];
}
