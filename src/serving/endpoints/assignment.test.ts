import { describe, expect, it } from 'vitest';
import { HALVES } from '../../../test/fixtures/traffic-split.ts';
import { type AssignmentRequest, assign, isAnalysed } from './assignment.ts';
import { bucketOf, fractionOf, murmur3, sha256Fraction } from './assignment-hash.ts';
import type { Arm, TrafficSplit } from './traffic.ts';

const VECTORS = [
  ['exp-1', 'user-1', 0.651820797892, 6518, 3276569552],
  ['exp-1', 'user-2', 0.131018122048, 1310, 2331046240],
  ['exp-1', 'usér-1', 0.727483933024, 7274, 3389873908],
] as const;

describe('the hash of assignment', () => {
  it.each(VECTORS)('gives the published vectors for %s and %s', (salt, unit, fraction, bucket, fast) => {
    expect(sha256Fraction(salt, unit)).toBeCloseTo(fraction, 12);
    expect(bucketOf(fractionOf(salt, unit))).toBe(bucket);
    expect(murmur3(`${salt}\u001f${unit}`)).toBe(fast);
    expect(fractionOf(salt, unit, 2)).toBe(fast / 2 ** 32);
  });

  it('gives the canonical check value of murmur3', () => {
    expect(murmur3('hello')).toBe(0x248bfa47);
    expect(murmur3('')).toBe(0);
  });

  it('keeps every bucket within its bounds', () => {
    expect(bucketOf(0)).toBe(0);
    expect(bucketOf(1 - 2 ** -52)).toBe(9999);
  });

  it('spreads units evenly, and independently under different salts', () => {
    const units = Array.from({ length: 20_000 }, (_, at) => `user-${at}`);
    const first = units.map((unit) => fractionOf('exp-1', unit));
    const second = units.map((unit) => fractionOf('exp-2', unit));
    const counts = Array.from({ length: 100 }, () => 0);
    for (const at of first) counts[Math.floor(at * 100)]!++;
    const even = counts.reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0);
    // chi-squared with 99 degrees of freedom is above 148.2 once in a thousand; the units are fixed, so this is no chance
    expect(even).toBeLessThan(148.2);
    const both = first.filter((at, place) => at < 0.5 && second[place]! < 0.5).length;
    expect(Math.abs(both / units.length - 0.25)).toBeLessThan(0.0101);
  });
});

const CANARY: Arm = { name: 'canary', version: 3, ranges: [[0, 0.05]], isAnalysed: true };
const CONTROL: Arm = { name: 'control', version: 2, ranges: [[0.5, 0.55]], isAnalysed: true };
const REST: Arm = {
  name: 'rest',
  version: 2,
  ranges: [
    [0.05, 0.5],
    [0.55, 1],
  ],
  isAnalysed: false,
};

const SPLIT: TrafficSplit = {
  ...HALVES,
  epoch: 4,
  salts: { layer: 'layer', holdout: 'holdout', enrolment: 'enrolment', arm: 'exp-1' },
  arms: [CANARY, CONTROL, REST],
};

const request = (given: Partial<AssignmentRequest> = {}): AssignmentRequest => ({
  unit: 'user-1',
  pinnedArm: null,
  readValue: () => null,
  isReady: () => true,
  ...given,
});

const units = Array.from({ length: 5000 }, (_, at) => `user-${at}`);

describe('the arm of a call', () => {
  it('is that whose half-open range has the unit', () => {
    // user-1 is at .6518, user-2 at .1310
    const at = (from: number, to: number): TrafficSplit => ({
      ...SPLIT,
      arms: [
        { ...CANARY, ranges: [[from, to]] },
        {
          ...CONTROL,
          ranges: [
            [0, from],
            [to, 1],
          ],
        },
      ],
    });
    const fraction = sha256Fraction('exp-1', 'user-1');
    expect(assign(at(fraction, 0.9), request()).arm).toBe('canary');
    expect(assign(at(0.1, fraction), request()).arm).toBe('control');
  });

  it('comes with reason, propensity, unit, plan and epoch', () => {
    const hit = units.find((unit) => sha256Fraction('exp-1', unit) < 0.05)!;
    expect(assign(SPLIT, request({ unit: hit }))).toEqual({
      arm: 'canary',
      reason: 'hash',
      propensity: 0.05,
      unit: hit,
      planVersion: 'sha256:1',
      epoch: 4,
    });
    const other = assign(SPLIT, request());
    expect(other).toMatchObject({ arm: 'rest', reason: 'hash' });
    expect(other.propensity).toBeCloseTo(0.9, 12);
    expect(isAnalysed(SPLIT, other)).toBe(false);
  });

  it('never goes back to control while the weight rises', () => {
    const weights = [0, 0.01, 0.05, 0.25, 0.5, 0.9];
    for (const unit of units.slice(0, 1000)) {
      const arms = weights.map(
        (weight) =>
          assign(
            {
              ...SPLIT,
              arms: [
                { ...CANARY, ranges: [[0, weight]] },
                { ...CONTROL, ranges: [[weight, 1]] },
              ],
            },
            request({ unit }),
          ).arm,
      );
      expect(arms.lastIndexOf('control')).toBe(
        arms.indexOf('canary') === -1 ? weights.length - 1 : arms.indexOf('canary') - 1,
      );
    }
  });

  it('is control without a unit, never one at random', () => {
    expect(assign(SPLIT, request({ unit: null }))).toMatchObject({
      arm: 'control',
      reason: 'unassigned',
      propensity: 1,
    });
  });

  it('is control when its own cannot answer, and is then not analysed', () => {
    const hit = units.find((unit) => sha256Fraction('exp-1', unit) < 0.05)!;
    const got = assign(SPLIT, request({ unit: hit, isReady: (arm) => arm.name !== 'canary' }));
    expect(got).toMatchObject({ arm: 'control', reason: 'arm-not-ready' });
    expect(isAnalysed(SPLIT, got)).toBe(false);
  });

  it('is decided by kill switch, pin, rules, holdout, layer, enrolment and hash, in this order', () => {
    const all: TrafficSplit = {
      ...SPLIT,
      isKilled: true,
      rules: [
        { kind: 'arm', name: 'testers', of: { kind: 'header', name: 'x-tenant' }, values: ['acme'], arm: 'canary' },
      ],
      holdoutShare: 1,
      layerSlot: [0, 0],
      enrolmentShare: 0,
    };
    const asked = request({ pinnedArm: 'canary', readValue: () => 'acme' });
    const seen: string[] = [];
    let split = all;
    let call = asked;
    const look = (): void => {
      const got = assign(split, call);
      seen.push(`${got.reason} ${got.arm}`);
    };
    look();
    split = { ...split, isKilled: false };
    look();
    call = { ...call, pinnedArm: null };
    look();
    split = { ...split, rules: [] };
    look();
    split = { ...split, holdoutShare: 0 };
    look();
    split = { ...split, layerSlot: [0, 1] };
    look();
    split = { ...split, enrolmentShare: 1 };
    look();
    expect(seen).toEqual([
      'kill-switch control',
      'pin canary',
      'rule canary',
      'holdout control',
      'layer control',
      'not-enrolled control',
      'hash rest',
    ]);
  });

  it('follows allow and deny lists; a call without the value is on no allow list', () => {
    const of = { kind: 'header', name: 'x-region' } as const;
    const only: TrafficSplit = { ...SPLIT, rules: [{ kind: 'only', name: 'residency', of, values: ['eu'] }] };
    const never: TrafficSplit = { ...SPLIT, rules: [{ kind: 'never', name: 'bank', of, values: ['eu'] }] };
    expect(assign(only, request({ readValue: () => 'eu' })).reason).toBe('hash');
    expect(assign(only, request({ readValue: () => 'us' }))).toMatchObject({ arm: 'control', reason: 'rule' });
    expect(assign(only, request())).toMatchObject({ arm: 'control', reason: 'rule' });
    expect(assign(never, request({ readValue: () => 'eu' }))).toMatchObject({ arm: 'control', reason: 'rule' });
    expect(assign(never, request()).reason).toBe('hash');
  });

  it('is that of the hash where an arm is named that there is not', () => {
    expect(assign(SPLIT, request({ pinnedArm: 'nobody' })).reason).toBe('hash');
  });

  it('has propensities that sum to 1 over all that may happen to a unit', () => {
    const split: TrafficSplit = { ...SPLIT, holdoutShare: 0.05, layerSlot: [0.2, 0.7], enrolmentShare: 0.8 };
    const outcomes = new Map<string, number>();
    for (const unit of units) {
      const got = assign(split, request({ unit }));
      outcomes.set(`${got.reason} ${got.arm}`, got.propensity);
    }
    expect(outcomes.size).toBe(6);
    expect([...outcomes.values()].reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
  });
});
