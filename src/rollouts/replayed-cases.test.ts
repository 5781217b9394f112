/**
 * Cases that other systems test themselves by, or failed at, replayed on ours: each a script of what happens and how it has to end. Cases of theirs
 * that stand elsewhere: faults and evidence in `scenarios.test.ts`, gates and verdicts in `gates/`, figures in `statistics/reference.test.ts`,
 * plans in `plan-check.test.ts`, outside metrics in `external-metrics.test.ts`, the arm of a unit in `assignment.test.ts`, several rollouts one after
 * the other in `rollout-series.test.ts`. Not replayed: what belongs to replicas and to pods, and bandits, because there are none here.
 */
import { describe, expect, it } from 'vitest';
import { armEvidence, readGate, stageEvidence } from '../../test/fixtures/gate-evidence.ts';
import { createWorld, FROM, steady, TO, type World, type WorldOptions } from '../../test/fixtures/rollout-world.ts';
import type { StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import type { Gate } from './gates/gate.ts';
import { parsePlan } from './plan-file.ts';
import type { Command, PhaseKind, VersionHealth } from './rollout.ts';
import { taskOf } from './task.ts';

/** What happens, in seconds of the rollout's clock. */
type Happening =
  /** Time goes by until it is there, a thousand seconds at most. */
  | { readonly until: PhaseKind; readonly stage?: number }
  | { readonly wait: number }
  | { readonly ask: Command['kind']; readonly reason?: string }
  | { readonly version: 'from' | 'to'; readonly is: VersionHealth }
  /** Gateways follow changes after so many seconds. */
  | { readonly lag: number }
  | { readonly calls: number }
  /** From now on the new version fails always, or not any more. */
  | { readonly harm: boolean }
  /** What has to be true at this point. */
  | { readonly sees: (run: World) => void };

type Case = {
  readonly of: string;
  readonly title: string;
  /** Further parts of the plan. */
  readonly plan?: object;
  readonly options?: Partial<WorldOptions>;
  readonly script: readonly Happening[];
  readonly ends: { readonly phase: PhaseKind; readonly target: number; readonly cause?: string };
};

const CANARY = { kind: 'canary', weights: ['10%', '50%'], minDwell: '20s', minExposures: 50 };
const PROMOTE = { kind: 'promote', soak: '20s', keepWarm: '10m' };
const warmFor = (keepWarm: string): object => ({ stages: [CANARY, { ...PROMOTE, keepWarm }] });
const isOn = (target: number, pins: readonly number[]): Happening => ({
  sees: ({ endpoint }) => expect(endpoint).toMatchObject({ target, pins }),
});

const CASES: readonly Case[] = [
  {
    of: 'Argo',
    title: 'a pause longer than the deadline: resumed, it goes on as if it had not been there',
    plan: { deadline: '20m', stageBudget: '10m' },
    script: [
      { until: 'baking' },
      { ask: 'pause' },
      { calls: 1 },
      { wait: 7200 },
      { calls: 40 },
      { ask: 'resume' },
      { until: 'completed' },
    ],
    ends: { phase: 'completed', target: TO },
  },
  {
    of: 'Argo',
    title: 'the time at a stage does not run during a pause',
    plan: { stages: [{ ...CANARY, weights: ['50%'], minDwell: '60s' }, PROMOTE] },
    script: [
      { until: 'baking' },
      { wait: 20 },
      { ask: 'pause' },
      { wait: 600 },
      { ask: 'resume' },
      { wait: 30 },
      { sees: (run) => expect(run.rollout.phase.kind).toBe('baking') },
      { until: 'completed' },
    ],
    ends: { phase: 'completed', target: TO },
  },
  {
    of: 'Argo',
    title: 'two pauses one upon the other count both',
    plan: { deadline: '20m', stageBudget: '10m' },
    script: [
      { until: 'baking' },
      { version: 'to', is: 'starting' },
      { wait: 600 },
      { ask: 'pause' },
      { wait: 600 },
      { version: 'to', is: 'ready' },
      { wait: 60 },
      { sees: (run) => expect([run.rollout.phase.kind, run.weight()]).toEqual(['paused', 0]) },
      { ask: 'resume' },
      { until: 'completed' },
    ],
    ends: { phase: 'completed', target: TO },
  },
  {
    of: 'Argo',
    title: 'the new version goes away during a person’s pause: no weight until it is resumed',
    script: [
      { until: 'baking' },
      { ask: 'pause' },
      { version: 'to', is: 'starting' },
      { wait: 5 },
      { sees: (run) => expect([run.rollout.phase.kind, run.weight()]).toEqual(['paused', 0]) },
      { version: 'to', is: 'ready' },
      { wait: 60 },
      { sees: (run) => expect([run.rollout.phase.kind, run.weight()]).toEqual(['paused', 0]) },
      { ask: 'resume' },
      { until: 'completed' },
    ],
    ends: { phase: 'completed', target: TO },
  },
  {
    of: 'Argo',
    title: 'a deadline without evidence pauses, and never promotes',
    plan: { deadline: '10m' },
    options: { callsPerS: 0 },
    script: [{ wait: 3000 }],
    ends: { phase: 'paused', cause: 'deadline', target: FROM },
  },
  {
    of: 'Argo',
    title: 'a deadline may go back instead',
    plan: { deadline: '10m', onInconclusive: 'rollback' },
    options: { callsPerS: 0 },
    script: [{ wait: 3000 }],
    ends: { phase: 'rolled-back', target: FROM },
  },
  {
    of: 'Argo',
    title: 'abort after the deadline has passed',
    plan: { deadline: '10m' },
    options: { callsPerS: 0 },
    script: [{ wait: 900 }, { ask: 'abort' }, { wait: 10 }],
    ends: { phase: 'rolled-back', target: FROM },
  },
  {
    of: 'Argo',
    title: 'inconclusive stays paused, whatever evidence comes afterwards',
    plan: { stageBudget: '2m' },
    options: { callsPerS: (second) => (second < 20 || second > 1000 ? 40 : 0) },
    script: [{ wait: 4000 }],
    ends: { phase: 'paused', cause: 'inconclusive', target: FROM },
  },
  {
    of: 'Argo',
    title: 'one gate fails: what the others said at that moment is in the record, and nothing is judged any more',
    options: { candidate: (call) => ({ ...steady(call), isFailed: call.random() < 0.1 }) },
    script: [
      { until: 'rolled-back' },
      {
        sees: ({ ledger, rollout }) => {
          const { evidence } = ledger.find((one) => one.to === 'rolling-back')!;
          expect(evidence.map((one) => one.verdict)).toEqual(expect.arrayContaining(['FAIL', 'CONTINUE']));
          expect(evidence.length).toBe(rollout.readings.length);
        },
      },
      { wait: 100 },
    ],
    ends: { phase: 'rolled-back', target: FROM },
  },
  {
    of: 'Argo',
    title: 'a gate that only reports fails, and nothing happens (dry run)',
    plan: {
      stages: [
        {
          ...CANARY,
          gates: [
            { kind: 'rate-ratio', passBelow: '5%' },
            { kind: 'exceedance', level: 'p50', failMargin: 1, role: 'report', name: 'slower' },
          ],
        },
        PROMOTE,
      ],
    },
    options: { candidate: (call) => ({ ...steady(call), latencyMs: 50 }) },
    script: [
      { until: 'baking', stage: 1 },
      { wait: 10 },
      {
        sees: ({ rollout }) =>
          expect(rollout.readings.find((one) => one.gate === 'slower')).toMatchObject({ verdict: 'FAIL' }),
      },
      { until: 'completed' },
    ],
    ends: { phase: 'completed', target: TO },
  },
  {
    of: 'Argo',
    title: 'abort when nothing of the new version is there any more',
    script: [{ until: 'baking' }, { version: 'to', is: 'absent' }, { ask: 'abort' }, { wait: 10 }],
    ends: { phase: 'rolled-back', target: FROM },
  },
  {
    of: 'Argo',
    title: 'gateways that do not follow at the end: the old version stays loaded until they do',
    script: [
      { until: 'baking', stage: 1 },
      { lag: 500 },
      { until: 'promoting' },
      { wait: 300 },
      { sees: (run) => expect(run.rollout.phase.kind).toBe('promoting') },
      isOn(TO, [FROM]),
      { until: 'completed' },
      isOn(TO, [FROM]),
    ],
    ends: { phase: 'completed', target: TO },
  },
  ...[0, 30, 600].map(
    (seconds): Case => ({
      of: 'Argo',
      title: `kept warm for ${seconds} s after a promotion, and then let go`,
      plan: warmFor(`${seconds}s`),
      script: [
        { until: 'completed' },
        ...(seconds > 2 ? [{ wait: seconds - 2 }, isOn(TO, [FROM])] : []),
        { wait: 4 },
        isOn(TO, []),
      ],
      ends: { phase: 'completed', target: TO },
    }),
  ),
  ...[0, 30].map(
    (seconds): Case => ({
      of: 'Argo',
      title: `kept warm for ${seconds} s after an abort, and then let go`,
      plan: warmFor(`${seconds}s`),
      script: [
        { until: 'baking' },
        { ask: 'abort' },
        { until: 'rolled-back' },
        ...(seconds > 2 ? [{ wait: seconds - 2 }, isOn(FROM, [TO])] : []),
        { wait: 4 },
        isOn(FROM, []),
      ],
      ends: { phase: 'rolled-back', target: FROM },
    }),
  ),
  {
    of: 'Flagger',
    title: 'the analysis is skipped, and the version still cannot run: back',
    script: [
      { until: 'baking' },
      { ask: 'promote' },
      { until: 'promoting' },
      { version: 'to', is: 'failed' },
      { wait: 10 },
    ],
    ends: { phase: 'failed-infra', target: FROM },
  },
  {
    of: 'Flagger',
    title: 'promotion fails after the shift and the old version is away: calls stay where something answers',
    script: [
      { until: 'soaking' },
      { version: 'from', is: 'starting' },
      { harm: true },
      { until: 'rolling-back' },
      { wait: 60 },
      isOn(TO, [FROM]),
      { version: 'from', is: 'ready' },
      { wait: 10 },
    ],
    ends: { phase: 'rolled-back', target: FROM },
  },
  {
    of: 'Flagger',
    title: 'one bad minute among many good ones ends it: failures do not have to add up',
    script: [{ until: 'baking', stage: 1 }, { harm: true }, { wait: 5 }, { harm: false }, { wait: 30 }],
    ends: { phase: 'rolled-back', target: FROM },
  },
  {
    of: 'Seldon Core',
    title: 'from 50 % to nothing: not one call more, once gateways follow',
    script: [
      { until: 'baking', stage: 1 },
      { ask: 'abort' },
      { until: 'rolled-back' },
      {
        sees: (run) => {
          const before = run.log.servedByCandidate;
          run.until(() => false, 60);
          expect(run.log.servedByCandidate).toBe(before);
        },
      },
    ],
    ends: { phase: 'rolled-back', target: FROM },
  },
  {
    of: 'KServe',
    title: 'nothing is taken from the old version before the new one is ready',
    script: [
      { version: 'to', is: 'starting' },
      { wait: 2 },
      { sees: (run) => expect(run.log.servedByCandidate).toBe(0) },
      isOn(FROM, [TO]),
      { until: 'completed' },
    ],
    ends: { phase: 'completed', target: TO },
  },
  {
    of: 'SageMaker',
    title: 'the old version is sick too: the new one is not ended for it',
    plan: { onInvalid: 'pause' },
    options: {
      current: (call) => ({ ...steady(call), isFailed: call.second > 60 }),
      candidate: (call) => ({ ...steady(call), isFailed: call.second > 60 }),
    },
    script: [{ until: 'paused' }],
    ends: { phase: 'paused', cause: 'invalid', target: FROM },
  },
  {
    of: 'GrowthBook',
    title: 'steps that are overdue are not folded across a person’s consent',
    plan: { stages: [{ kind: 'approve' }, { kind: 'approve', name: 'twice' }, PROMOTE] },
    script: [
      { until: 'awaiting-approval' },
      { ask: 'approve' },
      { wait: 600 },
      { sees: (run) => expect(run.rollout.phase).toMatchObject({ kind: 'awaiting-approval', stage: 1 }) },
    ],
    ends: { phase: 'awaiting-approval', target: FROM },
  },
];

function play(run: World, { script }: Case, harm: { isOn: boolean }, calls: { perS: number | null }): void {
  for (const happening of script) {
    if ('until' in happening) {
      const { until, stage } = happening;
      const isThere = (): boolean => {
        const { phase } = run.rollout;
        return phase.kind === until && (stage === undefined || ('stage' in phase && phase.stage === stage));
      };
      expect(run.until(isThere, 2000), `until ${until}, at ${JSON.stringify(run.rollout.phase)}`).toBe(true);
    } else if ('wait' in happening) run.until(() => false, happening.wait);
    else if ('ask' in happening) {
      const { phase } = run.rollout;
      const stage = 'stage' in phase ? phase.stage : 0;
      const { ask: kind, reason = 'because' } = happening;
      const asked = run.ask({ kind, by: 'carol', reason, stage, rollout: 'r2' } as Command);
      run.tick();
      expect(asked.refusal).toBeNull();
    } else if ('version' in happening) run.health[happening.version] = happening.is;
    else if ('lag' in happening) run.knobs.lagS = happening.lag;
    else if ('calls' in happening) calls.perS = happening.calls;
    else if ('harm' in happening) harm.isOn = happening.harm;
    else happening.sees(run);
  }
}

describe('cases of other systems', () => {
  const task = taskOf({
    inputs: [],
    outputs: [{ name: 'label', datatype: 'FP32', shape: [-1, 2], labels: ['no', 'yes'] }],
  });
  it.each(CASES)('$of: $title', (one) => {
    const harm = { isOn: false };
    const calls = { perS: null as number | null };
    const { callsPerS = 40, candidate = steady, ...options } = one.options ?? {};
    const run = createWorld({
      plan: parsePlan({ stages: [CANARY, PROMOTE], ...one.plan }, () => task),
      callsPerS: (second) => calls.perS ?? (typeof callsPerS === 'number' ? callsPerS : callsPerS(second)),
      candidate: (call) => ({ ...candidate(call), ...(harm.isOn && { isFailed: true }) }),
      ...options,
    });
    play(run, one, harm, calls);
    const { phase } = run.rollout;
    expect(phase, run.ledger.at(-1)?.reason).toMatchObject({
      kind: one.ends.phase,
      ...(one.ends.cause !== undefined && { cause: one.ends.cause }),
    });
    expect(run.endpoint.target).toBe(one.ends.target);
    expect(run.log).toMatchObject({ flips: 0, weightWhileUnready: 0 });
    const revisions = run.ledger.map((record) => record.revision);
    expect(revisions).toEqual(revisions.map((_, at) => at + 2));
  });
});

describe('judges of other systems', () => {
  const errors: Gate = {
    kind: 'rate-ratio',
    name: 'errors',
    role: 'guardrail',
    metric: 'errors',
    failMargin: 1.25,
    passMargin: 2,
    passBelow: null,
    alpha: 0.05,
    bySlice: false,
  };
  const counts = (answered: number, failed: number) => armEvidence({ answered, failed });

  it('GrowthBook: arms that are swapped swap what is said of them', () => {
    const [bad, good] = [counts(5000, 150), counts(5000, 50)];
    expect(readGate(errors, { evidence: stageEvidence({ canary: bad, control: good }) }).verdict).toBe('FAIL');
    expect(readGate(errors, { evidence: stageEvidence({ canary: good, control: bad }) }).verdict).toBe('PASS');
  });

  it('Kayenta: no data, data of one side only, and counts that cannot be are never a pass', () => {
    const missing: StageEvidence['arms'][] = [{}, { canary: counts(5000, 0) }, { control: counts(5000, 0) }];
    for (const arms of missing) expect(readGate(errors, { evidence: stageEvidence(arms) }).verdict).toBe('CONTINUE');
    const impossible = { canary: counts(Number.NaN, 3), control: counts(10, 0) };
    expect(readGate(errors, { evidence: stageEvidence(impossible) }).verdict).not.toBe('PASS');
    const negative = { canary: counts(100, -3), control: counts(10, 0) };
    expect(readGate(errors, { evidence: stageEvidence(negative) }).verdict).toBe('INVALID');
  });

  it('Kayenta: a control without a failure does not pass a canary that fails', () => {
    expect(
      readGate(errors, { evidence: stageEvidence({ canary: counts(5000, 60), control: counts(5000, 0) }) }).verdict,
    ).toBe('FAIL');
  });

  it('a router that gives 0.98 of the weight is seen, and the right weight never is', () => {
    const shares: Gate = { kind: 'sample-ratio', name: 'shares', role: 'tripwire', of: 'assignments', alpha: 0.001 };
    const at = (canary: number, control: number) =>
      readGate(shares, {
        armShares: { canary: 0.5, control: 0.5 },
        evidence: stageEvidence({ canary: counts(canary, 0), control: counts(control, 0) }),
      }).verdict;
    const first = [1e4, 1e5, 2e5, 3e5, 4e5, 5e5, 1e6].find((calls) => at(0.49 * calls, 0.51 * calls) === 'INVALID');
    expect(first).toBeLessThanOrEqual(200_000);
    for (const calls of [1e4, 1e6, 1e8]) expect(at(calls / 2, calls / 2)).toBe('CONTINUE');
  });
});
