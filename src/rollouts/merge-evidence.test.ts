import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ArmEvidence, EvidenceReport, Moments, StageEvidence } from '../serving/endpoints/arm-evidence.ts';
import { mergeReports } from './merge-evidence.ts';
import { concordance, concordanceOfMoments } from './statistics/agreement.ts';

const OF = { id: 'r1', epoch: 1, stage: 0 };
const momentsOf = (values: readonly number[]): Moments => {
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return { n: values.length, mean, m2: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) };
};

const arm = (calls: number, failed: number, values: readonly number[]): ArmEvidence => ({
  assigned: calls + failed,
  answered: calls,
  failed,
  failures: failed > 0 ? { run_failed: failed } : {},
  failureRun: failed,
  recent: { spanMs: 10_000, answered: calls, failed },
  timed: calls,
  over: [calls, failed],
  latency: [calls, 0, failed],
  outputs: { label: [calls, failed] },
  moments: { score: momentsOf(values) },
  slices: { [`t${calls % 3}`]: { answered: calls, failed, over: [1, 2], timed: calls } },
  units: { seen: calls, failed, over: [failed] },
});

const report = (instance: string, sequence: number, evidence: Partial<StageEvidence>): EvidenceReport => ({
  instance,
  sequence,
  evidence: { ...OF, arms: {}, shadows: {}, ...evidence },
});

/** Histories of gateways: totals that grow. */
const histories = fc
  .array(
    fc.array(fc.tuple(fc.nat(50), fc.nat(5), fc.double({ min: -9, max: 9, noNaN: true })), {
      minLength: 1,
      maxLength: 6,
    }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map((gateways) =>
    gateways.map((steps, at) => {
      let calls = 0;
      let failed = 0;
      const values: number[] = [];
      return steps.map(([more, bad, value], sequence) => {
        calls += more;
        failed += bad;
        values.push(value);
        return report(`g${at}`, sequence, { arms: { canary: arm(calls, failed, values) } });
      });
    }),
  );

/** Reals are added in another order, so they may differ in the last digits. */
const rounded = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_key, one) => (typeof one === 'number' ? Number(one.toFixed(6)) + 0 : one));

describe('reports of several gateways', () => {
  it('say the same whatever their order, however often they come, and whichever but the last are lost', () => {
    fc.assert(
      fc.property(histories, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (gateways, chances) => {
        const chance = (): number => chances.next().value as number;
        const all = gateways.flat();
        const kept = all.filter((one) => {
          const isLast = gateways.some((steps) => steps.at(-1) === one);
          return isLast || chance() < 0.5;
        });
        const twice = kept.flatMap((one) => (chance() < 0.4 ? [one, one] : [one]));
        const shuffled = twice.map((one) => [chance(), one] as const).sort(([a], [b]) => a - b);
        const got = mergeReports(
          shuffled.map(([, one]) => one),
          OF,
        );
        const last = gateways.flatMap((steps) => steps.slice(-1));
        expect(rounded(got?.arms['canary']?.answered)).toEqual(
          last.length === 0 ? undefined : last.reduce((sum, one) => sum + one.evidence.arms['canary']!.answered, 0),
        );
        const inOrder = mergeReports(all, OF)?.arms['canary'];
        const canary = got?.arms['canary'];
        expect(rounded(sorted(canary))).toEqual(rounded(sorted(inOrder)));
      }),
    );
  });

  it('of other rollouts, epochs and stages are not looked at', () => {
    const canary = arm(5, 1, [1]);
    const others = [
      report('a', 1, { id: 'r2', arms: { canary } }),
      report('a', 2, { epoch: 2, arms: { canary } }),
      report('a', 3, { stage: 1, arms: { canary } }),
    ];
    expect(mergeReports(others, OF)).toBeNull();
    expect(mergeReports([...others, report('a', 0, { arms: { canary } })], OF)!.arms['canary']!.answered).toBe(5);
  });

  it('of a gateway that started again are added to what it said before', () => {
    const got = mergeReports(
      [
        report('first', 900, { arms: { canary: arm(70, 7, []) } }),
        report('second', 1, { arms: { canary: arm(3, 0, []) } }),
      ],
      OF,
    )!;
    expect(got.arms['canary']).toMatchObject({ answered: 73, failed: 7, over: [73, 7], latency: [73, 0, 7] });
  });

  it('with moments and co-moments give the concordance of all pairs together', () => {
    const pairs = [
      [1, 1.1],
      [2, 2.1],
      [3, 2.9],
      [4, 4.3],
      [9, 7],
    ] as const;
    const shadow = (part: readonly (readonly [number, number])[]) => {
      const live = momentsOf(part.map(([a]) => a));
      const own = momentsOf(part.map(([, b]) => b));
      const none = { n: 0, mean: 0, m2: 0 };
      return {
        statuses: { ok: part.length, error: 0, timeout: 0, dropped: 1, oversize: 0, 'not-sampled': 0 },
        intended: part.length + 1,
        pairs: part.length,
        flips: 1,
        flipMatrix: { 'a>b': 1 },
        schemaMismatches: 0,
        newErrors: {},
        difference: none,
        absoluteDifference: none,
        live,
        shadow: own,
        comoment: part.reduce((sum, [a, b]) => sum + (a - live.mean) * (b - own.mean), 0),
        similarity: none,
        bySlice: { acme: { pairs: 1, flips: 1 } },
        bySize: { '1': { intended: 2, compared: 1 } },
        liveLatency: [1],
        shadowLatency: [0, 1],
        onlyLiveRight: 1,
        onlyShadowRight: 2,
        worst: [{ predictionId: `p${part.length}`, cost: part.length, live: 'a', shadow: 'b', slice: null }],
      };
    };
    const got = mergeReports(
      [
        report('a', 1, { shadows: { candidate: shadow(pairs.slice(0, 2)) } }),
        report('b', 1, { shadows: { candidate: shadow(pairs.slice(2)) } }),
      ],
      OF,
    )!.shadows['candidate']!;
    expect(got).toMatchObject({
      pairs: 5,
      flips: 2,
      intended: 7,
      statuses: { ok: 5, dropped: 2 },
      bySlice: { acme: { pairs: 2, flips: 2 } },
      bySize: { '1': { intended: 4, compared: 2 } },
      flipMatrix: { 'a>b': 2 },
      onlyShadowRight: 4,
    });
    expect(got.worst.map((one) => one.predictionId)).toEqual(['p3', 'p2']);
    expect(concordanceOfMoments(got.live, got.shadow, got.comoment)).toBeCloseTo(
      concordance(
        pairs.map(([a]) => a),
        pairs.map(([, b]) => b),
      )!,
      12,
    );
  });
});

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, one]) => [key, sorted(one)]),
  );
}
