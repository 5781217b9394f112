import { describe, expect, it } from 'vitest';
import {
  armEvidence as arm,
  stageEvidence as evidence,
  readGate as read,
  shadowEvidence,
} from '../../../test/fixtures/gate-evidence.ts';
import type { ArmEvidence, ShadowEvidence } from '../../serving/endpoints/arm-evidence.ts';
import { LATENCY_EDGES_MS } from '../../serving/endpoints/arm-evidence.ts';
import type { OutcomeEvidence } from '../rollout.ts';
import type { Gate, GateReading, ShadowGate, Verdict } from './gate.ts';
import { pairsToPass } from './shadow-gates.ts';
import { stageVerdict } from './stage-verdict.ts';

const errors: Gate = {
  kind: 'rate-ratio',
  name: 'errors',
  role: 'guardrail',
  metric: 'errors',
  failMargin: 1,
  passMargin: 2,
  passBelow: 0.01,
  alpha: 0.05,
  bySlice: false,
};

describe('errors', () => {
  it('fail on three that all fell on a canary of 5 %', () => {
    const got = read(errors, {
      evidence: evidence({ canary: arm({ answered: 97, failed: 3 }), control: arm({ answered: 1900 }) }),
    });
    expect(got).toMatchObject({ verdict: 'FAIL', evidence: 2000, bound: 1 });
    expect(got.lnE).toBeCloseTo(3.621764, 6);
    expect(got.text).toContain('3 of 100 predictions of the canary failed, 0 of 1,900 of control');
  });

  it('fail later where several tests share the error probability', () => {
    const three = evidence({ canary: arm({ answered: 97, failed: 3 }), control: arm({ answered: 1900 }) });
    expect(read(errors, { evidence: three, failTests: 2 }).verdict).toBe('CONTINUE');
  });

  it('pass when the canary surely fails less than twice as often', () => {
    const got = read(
      { ...errors, passBelow: null },
      {
        evidence: evidence({
          canary: arm({ answered: 9900, failed: 100 }),
          control: arm({ answered: 9900, failed: 100 }),
        }),
      },
    );
    expect(got).toMatchObject({ verdict: 'PASS', measured: expect.closeTo(1, 9) });
  });

  it('pass on clean calls alone once they are enough, and say how many more are needed before', () => {
    const clean = (calls: number) =>
      evidence({ canary: arm({ answered: calls }), control: arm({ answered: 19 * calls }) });
    const early = read(errors, { evidence: clean(100) });
    expect(early.verdict).toBe('CONTINUE');
    expect(early.remaining).toBeGreaterThan(8000);
    expect(early.remaining).toBeLessThan(14_000);
    expect(read(errors, { evidence: clean(700) }).verdict).toBe('PASS');
  });

  it('never pass without evidence', () => {
    for (const none of [null, evidence({}), evidence({ canary: arm(), control: arm() })])
      expect(read(errors, { evidence: none })).toMatchObject({ verdict: 'CONTINUE', evidence: 0 });
    // calls of control only, or of the canary only, compare nothing
    expect(read(errors, { evidence: evidence({ canary: arm(), control: arm({ answered: 1e6 }) }) }).verdict).toBe(
      'CONTINUE',
    );
    expect(
      read(
        { ...errors, passBelow: null },
        { evidence: evidence({ canary: arm({ answered: 1e5, failed: 9e4 }), control: arm() }) },
      ).verdict,
    ).toBe('CONTINUE');
  });

  it('count the rest of the traffic as control', () => {
    const got = read(errors, {
      evidence: evidence({
        canary: arm({ answered: 97, failed: 3 }),
        control: arm({ answered: 100 }),
        rest: arm({ answered: 1800 }),
      }),
    });
    expect(got.evidence).toBe(2000);
    expect(got.verdict).toBe('FAIL');
  });

  it('count units that failed where units are sticky: one user who fails ten times is one', () => {
    const units = (seen: number, failed: number) => ({ seen, failed, over: [] });
    const got = read(errors, {
      evidence: evidence({
        canary: arm({ answered: 90, failed: 10, units: units(20, 1) }),
        control: arm({ answered: 1900, units: units(380, 0) }),
      }),
    });
    expect(got.verdict).toBe('CONTINUE');
    expect(got.evidence).toBe(400);
  });

  it('of one tenant fail although the whole looks well', () => {
    const slices = (failed: number, calls: number) => ({
      acme: { answered: calls - failed, failed, over: [], timed: 0 },
      other: { answered: 20 * calls, failed: 40, over: [], timed: 0 },
    });
    const both = evidence({
      canary: arm({ answered: 21_000, failed: 60, slices: slices(20, 1000) }),
      control: arm({ answered: 21_000, failed: 60, slices: slices(1, 1000) }),
    });
    expect(read(errors, { evidence: both }).verdict).not.toBe('FAIL');
    const got = read({ ...errors, bySlice: true }, { evidence: both });
    expect(got).toMatchObject({ verdict: 'FAIL' });
    expect(got.text).toMatch(/^In slice acme: 20 of 1,000/);
  });

  it('are not misled when the base rate swings during the ramp', () => {
    const strata = (counts: [number, number, number][]) => ({
      errors: counts.map(([share, canaryEvents, events]) => ({ share, canaryEvents, events, canaryExposures: 1000 })),
    });
    const stratified = read(
      { ...errors, passBelow: null },
      {
        strata: strata([
          [0.01, 30, 3000],
          [0.5, 500, 1000],
        ]),
      },
    );
    expect(stratified.verdict).not.toBe('FAIL');
    expect(stratified.measured).toBeCloseTo(1, 2);
    // the same calls thrown together look 70 % better than they are
    const pooled = read({ ...errors, passBelow: null }, { strata: strata([[0.255, 530, 4000]]) });
    expect(pooled.measured).toBeLessThan(0.5);
  });
});

describe('latency', () => {
  const p99: Gate = {
    kind: 'exceedance',
    name: 'p99',
    role: 'guardrail',
    level: 'p99',
    failMargin: 1,
    passMargin: 2,
    alpha: 0.05,
    bySlice: false,
  };
  const timed = (calls: number, over: readonly number[]) => arm({ answered: calls, timed: calls, over });

  it('sees a regression that only the slowest calls have', () => {
    const got = read(p99, {
      evidence: evidence({ canary: timed(1000, [500, 50, 40]), control: timed(1000, [500, 50, 10]) }),
    });
    expect(got.verdict).toBe('FAIL');
    expect(got.text).toContain("40 of 1,000 predictions of the canary were slower than control's p99");
    const p50 = read(
      { ...p99, level: 'p50' },
      { evidence: evidence({ canary: timed(1000, [500, 50, 40]), control: timed(1000, [500, 50, 10]) }) },
    );
    expect(p50.verdict).not.toBe('FAIL');
  });

  it('is compared with the equally large control, never with the rest', () => {
    const got = read(p99, {
      evidence: evidence({
        canary: timed(1000, [0, 0, 10]),
        control: timed(1000, [0, 0, 10]),
        rest: timed(1e5, [0, 0, 0]),
      }),
    });
    expect(got).toMatchObject({ verdict: 'CONTINUE', evidence: 2000 });
  });

  it('has nothing to say before levels are frozen', () => {
    expect(read(p99, { evidence: evidence({ canary: timed(1000, []), control: timed(1000, []) }) })).toMatchObject({
      verdict: 'CONTINUE',
      evidence: 0,
    });
  });
});

describe('means', () => {
  const score: Gate = {
    kind: 'mean-difference',
    name: 'score',
    role: 'guardrail',
    metric: 'score',
    harm: 'either',
    failMargin: 0.05,
    passMargin: 0.05,
    alpha: 0.05,
    expectedTotal: 5000,
  };
  const moments = (n: number, mean: number, variance: number) => ({ score: { n, mean, m2: variance * (n - 1) } });
  const given = (canary: [number, number, number], control: [number, number, number]) => ({
    evidence: evidence({
      canary: arm({ moments: moments(...canary) }),
      control: arm({ moments: moments(...control) }),
    }),
  });

  it.each<[string, [number, number, number], [number, number, number], Verdict]>([
    ['harm that is sure', [2000, 0.6, 0.04], [2000, 0.5, 0.04], 'FAIL'],
    ['harm the other way', [2000, 0.4, 0.04], [2000, 0.5, 0.04], 'FAIL'],
    ['none that matters', [5000, 0.501, 0.04], [5000, 0.5, 0.04], 'PASS'],
    ['not yet sure', [200, 0.53, 0.04], [200, 0.5, 0.04], 'CONTINUE'],
    ['too few of one side', [99, 0.9, 0.0001], [5000, 0.5, 0.04], 'CONTINUE'],
  ])('%s', (_title, canary, control, verdict) => {
    expect(read(score, given(canary, control)).verdict).toBe(verdict);
  });

  it('do not take constants for certainty', () => {
    expect(read(score, given([101, 0.5, 0], [101, 0.5, 0])).verdict).toBe('CONTINUE');
    expect(read(score, given([5000, 0.9, 0], [5000, 0.5, 0.04])).verdict).toBe('FAIL');
  });

  it('that move during the ramp are no effect', () => {
    const stage = (n: number, share: number, mean: number) => {
      const part = (size: number) => ({ n: size, mean, m2: 0.04 * (size - 1) });
      return { canary: part(n * share), control: part(n * (1 - share)) };
    };
    const got = read(score, { means: { score: [stage(20_000, 0.05, 0.9), stage(20_000, 0.5, 0.2)] } });
    expect(got.measured).toBeCloseTo(0, 12);
    expect(got.verdict).toBe('PASS');
  });
});

describe('spread of outputs', () => {
  const shift: Gate = {
    kind: 'output-shift',
    name: 'classes',
    role: 'signal',
    output: 'label',
    margin: 2,
    alpha: 0.01,
  };
  const outputs = (counts: readonly number[]) => arm({ answered: 100, outputs: { label: counts } });

  it('sees a canary that always answers the same, fast and with 200', () => {
    const got = read(shift, {
      evidence: evidence({ canary: outputs([0, 0, 120]), control: outputs([400, 1200, 680]) }),
    });
    expect(got).toMatchObject({ verdict: 'FAIL', pauses: true });
  });

  it('allows what is within the margin, and never passes', () => {
    const got = read(shift, {
      evidence: evidence({ canary: outputs([300, 700, 500]), control: outputs([400, 1200, 680]) }),
    });
    expect(got.verdict).toBe('CONTINUE');
  });
});

describe('ceilings', () => {
  const ceiling: Gate = {
    kind: 'ceiling',
    name: 'ceiling',
    role: 'tripwire',
    consecutiveErrors: 20,
    errorRate: 0.1,
    minCalls: 50,
  };
  const recent = (answered: number, failed: number, failureRun = 0) =>
    arm({ answered, failed, failureRun, recent: { spanMs: 10_000, answered, failed } });

  it.each<[string, ArmEvidence, ArmEvidence, Verdict]>([
    ['twenty failures without an answer', recent(0, 20, 20), recent(100, 0), 'FAIL'],
    ['nineteen', recent(0, 19, 19), recent(100, 0), 'CONTINUE'],
    ['more than a tenth of enough calls', recent(88, 12), recent(100, 0), 'FAIL'],
    ['more than a tenth of few calls', recent(30, 12), recent(100, 0), 'CONTINUE'],
    ['control fails as well', recent(0, 60, 60), recent(10, 90, 90), 'INVALID'],
  ])('%s', (_title, canary, control, verdict) => {
    expect(read(ceiling, { evidence: evidence({ canary, control }) }).verdict).toBe(verdict);
  });
});

describe('shares of arms', () => {
  const srm: Gate = { kind: 'sample-ratio', name: 'shares', role: 'tripwire', of: 'assignments', alpha: 0.001 };
  const labels: Gate = { ...srm, of: 'outcomes' };
  const assigned = (canary: number, control: number) =>
    evidence({ canary: arm({ assigned: canary }), control: arm({ assigned: control }) });
  const armShares = { canary: 0.5, control: 0.5 };

  it('that are wrong make the comparison invalid', () => {
    expect(read(srm, { evidence: assigned(5000, 5050), armShares }).verdict).toBe('CONTINUE');
    const got = read(srm, { evidence: assigned(5600, 4400), armShares });
    expect(got.verdict).toBe('INVALID');
    expect(got.text).toContain('canary 5,600 where 5,000 were to be expected');
  });

  it('are invalid for sure where somebody came to an arm of weight 0', () => {
    expect(read(srm, { evidence: assigned(1, 4400), armShares: { canary: 0, control: 1 } }).verdict).toBe('INVALID');
  });

  it('of labels that come for one arm only are invalid', () => {
    const outcomes = (canary: number, control: number): OutcomeEvidence[] => [
      {
        metric: 'truth',
        stage: 0,
        arms: {
          canary: { eligible: 1000, labelled: canary, bad: 0, mean: 0, m2: 0 },
          control: { eligible: 1000, labelled: control, bad: 0, mean: 0, m2: 0 },
        },
      },
    ];
    expect(read(labels, { outcomes: outcomes(300, 290) }).verdict).toBe('CONTINUE');
    expect(read(labels, { outcomes: outcomes(0, 290) }).verdict).toBe('INVALID');
    expect(read(labels).verdict).toBe('CONTINUE');
  });
});

describe('shadows', () => {
  const gate: Gate = {
    kind: 'shadow',
    name: 'shadow',
    role: 'guardrail',
    maxExcessFlips: 0.005,
    maxBias: 0.1,
    minPairs: 1000,
    minCoverage: 0.8,
    maxLatencyRatio: 1.5,
    alpha: 0.05,
  };
  const look = (candidate: Partial<ShadowEvidence>, noise?: Partial<ShadowEvidence>): GateReading =>
    read(gate, {
      evidence: evidence(
        {},
        {
          candidate: shadowEvidence(candidate),
          ...(noise && { 'noise-floor': shadowEvidence(noise) }),
        },
      ),
    });
  const latency = (edge: number, calls: number) =>
    Array.from({ length: LATENCY_EDGES_MS.length + 1 }, (_, at) => (at === edge ? calls : 0));

  it('pass when they surely agree, and not before', () => {
    expect(look({}).verdict).toBe('CONTINUE');
    expect(look({ pairs: 500 }).verdict).toBe('CONTINUE');
    expect(look({ pairs: 10_000, flips: 3 })).toMatchObject({ verdict: 'PASS', evidence: 10_000 });
  });

  it('pause when decisions surely differ more than the current version from itself', () => {
    const flips = { pairs: 10_000, flips: 200 };
    expect(look(flips)).toMatchObject({ verdict: 'FAIL', pauses: true });
    expect(look(flips, { pairs: 10_000, flips: 190 })).toMatchObject({ verdict: 'CONTINUE' });
  });

  it('say nothing of decisions before 50 pairs, however they differ; the first pairs come from a runner that has just started', () => {
    for (let pairs = 1; pairs < 50; pairs++) expect(look({ pairs, flips: pairs }).verdict).toBe('CONTINUE');
    expect(look({ pairs: 50, flips: 50 })).toMatchObject({ verdict: 'FAIL', pauses: true });
    const bySlice = { acme: { pairs: 49, flips: 49 }, other: { pairs: 5000, flips: 0 } };
    expect(look({ pairs: 5049, flips: 49, bySlice }).text).not.toContain('slice');
    expect(look({ pairs: 99, difference: { n: 99, mean: 50, m2: 98 } }).verdict).toBe('CONTINUE');
  });

  it('need as many pairs to pass as is told beforehand, where they never differ', () => {
    for (const hasNoiseFloor of [false, true]) {
      const pairs = pairsToPass(gate as ShadowGate, hasNoiseFloor)!;
      const floor = hasNoiseFloor ? { pairs: 50, flips: 0 } : undefined;
      expect(look({ pairs }, floor).verdict).toBe('PASS');
      expect(look({ pairs: Math.floor(pairs * 0.95) }, floor).verdict).toBe('CONTINUE');
    }
    expect(pairsToPass({ ...gate, minPairs: 9000 } as ShadowGate, false)).toBe(9000);
    expect(pairsToPass({ ...gate, maxExcessFlips: 0 } as ShadowGate, false)).toBeNull();
  });

  it('pause when one slice differs far more than all', () => {
    const got = look({
      pairs: 20_000,
      flips: 20,
      bySlice: { acme: { pairs: 100, flips: 15 }, other: { pairs: 19_900, flips: 5 } },
    });
    expect(got).toMatchObject({ verdict: 'FAIL', pauses: true });
    expect(got.text).toContain('slice acme');
  });

  it('pause on bias that is sure', () => {
    const biased = { pairs: 5000, difference: { n: 5000, mean: 0.3, m2: 0.04 * 4999 } };
    expect(look(biased)).toMatchObject({ verdict: 'FAIL', pauses: true });
    expect(look({ ...biased, difference: { n: 5000, mean: 0.05, m2: 0.04 * 4999 } }).pauses).toBe(false);
  });

  it('fail on answers of another form and on new kinds of errors, unless the current version has them too', () => {
    expect(look({ pairs: 1000, schemaMismatches: 10 })).toMatchObject({ verdict: 'FAIL', pauses: false });
    expect(look({ pairs: 1000, newErrors: { run_failed: 10 } }).verdict).toBe('FAIL');
    expect(look({ pairs: 1000, newErrors: { run_failed: 2 } }).verdict).not.toBe('FAIL');
    expect(look({ pairs: 1000, schemaMismatches: 10 }, { pairs: 1000, schemaMismatches: 9 }).verdict).not.toBe('FAIL');
  });

  it('are invalid when too few copies were compared, or only small ones', () => {
    const statuses = { ok: 700, error: 0, timeout: 0, dropped: 200, oversize: 100, 'not-sampled': 0 };
    expect(look({ pairs: 700, intended: 1000, statuses })).toMatchObject({ verdict: 'INVALID', measured: 0.7 });
    const bySize = { '1': { intended: 5000, compared: 5000 }, '1024': { intended: 500, compared: 10 } };
    expect(look({ pairs: 5010, intended: 5500, bySize }).verdict).toBe('INVALID');
  });

  it('fail when the slowest calls are much slower', () => {
    const slow = { pairs: 5000, liveLatency: latency(50, 5000), shadowLatency: latency(60, 5000) };
    expect(look(slow)).toMatchObject({ verdict: 'FAIL', pauses: false });
    expect(look({ ...slow, shadowLatency: latency(51, 5000) }).verdict).toBe('PASS');
  });

  it('that fail too often do not pass', () => {
    const statuses = { ok: 5000, error: 40, timeout: 40, dropped: 0, oversize: 0, 'not-sampled': 0 };
    expect(look({ pairs: 5000, intended: 5080, statuses }).verdict).toBe('CONTINUE');
  });

  it('with feedback: which model was right where only one was', () => {
    const paired: Gate = {
      kind: 'paired-accuracy',
      name: 'accuracy',
      role: 'guardrail',
      failMargin: 1,
      passMargin: 1.5,
      alpha: 0.05,
    };
    const right = (onlyLiveRight: number, onlyShadowRight: number) =>
      read(paired, {
        evidence: evidence({}, { candidate: shadowEvidence({ pairs: 500, onlyLiveRight, onlyShadowRight }) }),
      });
    expect(right(0, 0)).toMatchObject({ verdict: 'CONTINUE', evidence: 0 });
    // the reference's 14 against 30: E is 9.15, not yet 20
    expect(right(30, 14).verdict).toBe('CONTINUE');
    expect(right(30, 14).measured).toBeCloseTo(30 / 14, 12);
    expect(right(60, 20).verdict).toBe('FAIL');
    expect(right(20, 60).verdict).toBe('PASS');
  });
});

describe('gates on what is measured elsewhere', () => {
  const external: Gate = {
    kind: 'external',
    name: 'revenue',
    role: 'guardrail',
    source: { kind: 'webhook', url: 'http://127.0.0.1/x' },
    timeoutMs: 1000,
    everyMs: 10_000,
    failAbove: null,
    failBelow: 5,
    passAfter: 3,
    failAfter: 2,
  };
  const values = (...list: (number | string)[]) => ({
    external: {
      revenue: {
        values: list.map((one, at) =>
          typeof one === 'number'
            ? { kind: 'value' as const, value: one, atMs: 1_000_000 - at * 10_000 }
            : { kind: 'outage' as const, reason: one, atMs: 1_000_000 - at * 10_000 },
        ),
      },
    },
  });

  it.each<[string, (number | string)[], Verdict]>([
    ['nothing read yet', [], 'CONTINUE'],
    ['good three times', [6, 7, 8], 'PASS'],
    ['good twice', [6, 7], 'CONTINUE'],
    ['good, with an outage between', [6, 7, 'timeout', 8, 9], 'CONTINUE'],
    ['bad twice', [1, 2, 9], 'FAIL'],
    ['bad once', [1, 9, 9, 9], 'CONTINUE'],
    ['an outage is neither good nor bad', ['timeout', 9, 9, 9], 'INVALID'],
    ['no number', [Number.NaN, 9, 9, 9], 'INVALID'],
  ])('%s', (_title, list, verdict) => {
    expect(read(external, values(...list)).verdict).toBe(verdict);
  });

  it('readings that stopped are invalid', () => {
    expect(read(external, { ...values(9, 9, 9), wallMs: 1_040_000 }).verdict).toBe('INVALID');
  });

  it('a version without golden cases is not passed by them', () => {
    const golden: Gate = { kind: 'golden', name: 'golden', role: 'guardrail', minCases: 3 };
    expect(read(golden).verdict).toBe('INCONCLUSIVE');
    expect(read(golden, { golden: { cases: 2, passed: 2 } }).verdict).toBe('INCONCLUSIVE');
    expect(read(golden, { golden: { cases: 5, passed: 5 } }).verdict).toBe('PASS');
    expect(read(golden, { golden: { cases: 5, passed: 4 } }).verdict).toBe('FAIL');
  });

  it('quantiles are shown with their bounds', () => {
    const gate: Gate = { kind: 'quantile', name: 'latency', role: 'report', levels: [0.5, 0.99], alpha: 0.05 };
    const latency = LATENCY_EDGES_MS.map((_, at) => (at >= 40 && at < 60 ? 100 : 0));
    const got = read(gate, { evidence: evidence({ canary: arm({ latency }), control: arm() }) });
    expect(got).toMatchObject({ verdict: 'CONTINUE', role: 'report', evidence: 2000 });
    expect(got.text).toMatch(
      /^canary: p50 [\d.]+ ms to [\d.]+ ms, p99 [\d.]+ ms to [\d.]+ ms; control: nothing timed yet/,
    );
  });

  it('evidence that cannot be judged makes a gate invalid', () => {
    const strata = { errors: [{ share: 0.5, canaryEvents: 5, events: 4, canaryExposures: 10 }] };
    expect(read(errors, { strata }).verdict).toBe('INVALID');
  });
});

describe('a stage', () => {
  const reading = (verdict: Verdict, more: Partial<GateReading> = {}): GateReading => ({
    gate: verdict,
    kind: 'rate-ratio',
    role: 'guardrail',
    verdict,
    pauses: false,
    measured: null,
    bound: null,
    lnE: null,
    evidence: 0,
    text: '',
    remaining: null,
    ...more,
  });
  const order: readonly Verdict[] = ['FAIL', 'INVALID', 'CONTINUE', 'INCONCLUSIVE', 'PASS'];

  it('is what ranks first among its guardrails, whatever their order', () => {
    order.forEach((first, at) => {
      for (const second of order.slice(at)) {
        expect(stageVerdict([reading(first), reading(second)]).verdict).toBe(first);
        expect(stageVerdict([reading(second), reading(first)]).verdict).toBe(first);
      }
    });
  });

  it('a mismatch of shares does not hide a guardrail that fails', () => {
    expect(
      stageVerdict([reading('INVALID', { kind: 'sample-ratio', role: 'tripwire' }), reading('FAIL')]).verdict,
    ).toBe('FAIL');
  });

  it('never passes on nothing: no gates, reports, signals or tripwires only', () => {
    for (const readings of [
      [],
      [reading('PASS', { role: 'report' })],
      [reading('PASS', { role: 'signal' })],
      [reading('PASS', { role: 'tripwire' })],
    ]) {
      expect(stageVerdict(readings).verdict).toBe('CONTINUE');
      expect(stageVerdict(readings, { isBudgetSpent: true }).verdict).toBe('INCONCLUSIVE');
    }
  });

  it('passes when guardrails pass, whatever tripwires have not seen', () => {
    expect(stageVerdict([reading('PASS'), reading('CONTINUE', { role: 'tripwire' })]).verdict).toBe('PASS');
  });

  it('fails by a tripwire, is held by a signal and by what pauses', () => {
    expect(stageVerdict([reading('PASS'), reading('FAIL', { role: 'tripwire' })]).verdict).toBe('FAIL');
    const held = stageVerdict([reading('PASS'), reading('FAIL', { role: 'signal' })]);
    expect(held.verdict).toBe('PASS');
    expect(held.holds).toHaveLength(1);
    const doubted = stageVerdict([reading('FAIL', { pauses: true })]);
    expect(doubted).toMatchObject({ verdict: 'CONTINUE', holds: [{ verdict: 'FAIL' }] });
  });

  it('with a spent budget is inconclusive where it would go on', () => {
    expect(stageVerdict([reading('PASS'), reading('CONTINUE')], { isBudgetSpent: true }).verdict).toBe('INCONCLUSIVE');
    expect(stageVerdict([reading('PASS')], { isBudgetSpent: true }).verdict).toBe('PASS');
  });

  it('goes on with what a person overruled, but not with what is undecided or invalid', () => {
    const overruled = ['FAIL', 'INVALID', 'CONTINUE'];
    expect(stageVerdict([reading('FAIL', { pauses: true }), reading('PASS')], { overruled }).verdict).toBe('PASS');
    expect(stageVerdict([reading('INVALID'), reading('PASS')], { overruled }).verdict).toBe('INVALID');
    expect(stageVerdict([reading('CONTINUE'), reading('PASS')], { overruled }).verdict).toBe('CONTINUE');
  });
});
