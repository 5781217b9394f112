import { describe, expect, it } from 'vitest';
import {
  betaCdf,
  binomialCdf,
  chiSquaredTail,
  findRoot,
  gammaQ,
  integrate,
  lnGamma,
  normalCdf,
  normalQuantile,
  normalTail,
  studentTwoSided,
  studentTwoSidedQuantile,
} from './special-functions.ts';

/** Values of scipy 1.17.1. */
const near = (got: number, expected: number, relative = 1e-11): void => {
  expect(Math.abs(got - expected)).toBeLessThanOrEqual(Math.max(1e-14, Math.abs(expected) * relative));
};

describe('special functions agree with scipy', () => {
  it.each([
    [1e-8, 18.42068073818021],
    [0.1, 2.252712651734206],
    [0.5, 0.5723649429247],
    [1, 0],
    [1.5, -0.12078223763524526],
    [2, 0],
    [3.7, 1.428072326665388],
    [11.99, 17.477885575426185],
    [12.01, 17.526738806509965],
    [100, 359.1342053695754],
    [1e4, 82_099.71749644238],
    [821_588.5, 10_367_615.234048137],
    [1e9, 19_723_265_827.503716],
  ])('ln gamma of %d', (x, expected) => near(lnGamma(x), expected, 1e-13));

  it.each([
    [0.5, 0.5, 0.5, 0.5],
    [0.01, 101, 9901, 0.4738380839995903],
    [0.0135, 136, 9866, 0.47759720186489213],
    [0.2, 2, 3, 0.1808],
    [0.999, 50, 0.5, 0.7523690199653766],
    [1e-6, 0.3, 4, 0.026063550506024224],
    [0.5, 1e5, 1e5, 0.49999999999999895],
    [0.0099, 1e3, 1e5, 0.5028747227158373],
  ])('incomplete beta at %d of (%d, %d)', (x, a, b, expected) => near(betaCdf(x, a, b), expected, 1e-9));

  it.each([
    [0.5, 0.001, 0.9643294082703201],
    [0.5, 2, 0.04550026389635857],
    [0.5, 50, 1.5239706048320995e-23],
    [1, 1, 0.36787944117144245],
    [2.5, 11, 0.0005235983161067766],
    [50, 40, 0.9296649333406051],
    [50, 80, 0.0001307839765914092],
    [500, 520, 0.18469114909874365],
  ])('incomplete gamma Q(%d, %d)', (a, x, expected) => {
    near(gammaQ(a, x), expected);
  });

  it.each([
    [-3, 0.9986501019683699],
    [-0.5, 0.6914624612740131],
    [0, 0.5],
    [0.1, 0.460172162722971],
    [1.96, 0.024997895148220435],
    [3.2, 0.0006871379379158471],
    [6, 9.865876450376946e-10],
    [10, 7.61985302416047e-24],
    [20, 2.7536241186061556e-89],
  ])('the normal tail above %d', (z, expected) => {
    near(normalTail(z), expected);
    near(normalCdf(-z), expected);
  });

  it.each([
    [1e-12, -7.034483825301131],
    [1e-4, -3.7190164854556804],
    [0.0125, -2.241402727604945],
    [0.025, -1.9599639845400545],
    [0.3, -0.5244005127080409],
    [0.5, 0],
    [0.77, 0.7388468491852137],
    [0.975, 1.959963984540054],
    [0.9999, 3.719016485455709],
  ])('the normal quantile of %d', (p, expected) => near(normalQuantile(p), expected));

  it.each([
    [0, 3, 1],
    [1, 1, 0.5],
    [2.324, 5841.7, 0.02015962365952469],
    [-4, 12.5, 0.0016290629206468443],
  ])("Student's t %d with %d degrees", (t, degrees, expected) => {
    near(studentTwoSided(t, degrees), expected, 1e-9);
    if (t !== 0) near(studentTwoSidedQuantile(expected, degrees), Math.abs(t), 1e-9);
  });

  it.each([
    [16, 1, 6.334248366623988e-5],
    [22.774369, 1, 1.8217927227394633e-6],
    [5.297338, 2, 0.0707453124342544],
    [148.2, 99, 0.0010055870741327612],
    [0, 3, 1],
  ])('chi-squared above %d with %d degrees', (x, degrees, expected) => {
    near(chiSquaredTail(x, degrees), expected);
  });

  it.each([
    [14, 44, 0.5, 0.011314420602957398],
    [0, 300, 0.01, 0.049040894071285854],
    [9862, 10_000, 0.99, 0.00017073917442921236],
    [5, 5, 0.3, 1],
    [-1, 5, 0.3, 0],
  ])('at most %d of %d with %d', (k, n, p, expected) => near(binomialCdf(k, n, p), expected, 1e-9));
});

describe('their ends and misuse', () => {
  it('are what the limits are, and NaN where there is no value', () => {
    expect(betaCdf(-1, 2, 2)).toBe(0);
    expect(betaCdf(2, 2, 2)).toBe(1);
    expect(betaCdf(Number.NaN, 2, 2)).toBeNaN();
    expect(gammaQ(2, 0)).toBe(1);
    expect(gammaQ(2, Number.NaN)).toBeNaN();
    expect(lnGamma(0)).toBe(Number.POSITIVE_INFINITY);
    expect(lnGamma(-1)).toBeNaN();
    expect(normalQuantile(0)).toBe(Number.NEGATIVE_INFINITY);
    expect(normalQuantile(1)).toBe(Number.POSITIVE_INFINITY);
    expect(normalQuantile(1.1)).toBeNaN();
  });
});

describe('integrals and roots', () => {
  it('are exact for a cubic and found to the tolerance', () => {
    expect(integrate((x) => x ** 3 - x, 0, 2, 2)).toBeCloseTo(2, 12);
    expect(findRoot((x) => x * x - 2, 0, 2)).toBeCloseTo(Math.SQRT2, 11);
    expect(findRoot((x) => 2 - x, 0, 5)).toBeCloseTo(2, 11);
  });
});
