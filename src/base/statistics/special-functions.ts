/**
 * The functions behind the distributions. Absolute errors are below 1e-12 where not said otherwise; checked against scipy 1.17
 * (`special-functions.test.ts`). Formulas: Abramowitz & Stegun 6.1 and 26; NIST DLMF 5.11, 8.7-8.9 and 8.17.
 */

const LN_SQRT_2PI = Math.log(2 * Math.PI) / 2;
/** Least step of a continued fraction's terms, so that none divides by zero (Lentz's method). */
const TINY = 1e-300;
const EPSILON = 1e-16;
const MAX_TERMS = 10_000;

/** Coefficients of Stirling's series, DLMF 5.11.1: B(2k) / (2k (2k - 1)). */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360_360, 1 / 156];

/** ln of the gamma function, for x > 0. */
export function lnGamma(x: number): number {
  if (!(x > 0)) return x === 0 ? Number.POSITIVE_INFINITY : Number.NaN;
  if (x === 1 || x === 2) return 0;
  // Below 12 the recurrence brings the argument to where Stirling's series is exact.
  let shift = 0;
  let at = x;
  if (at < 12) {
    let product = 1;
    while (at < 12) {
      product *= at;
      at += 1;
    }
    shift = Math.log(product);
  }
  const inverse = 1 / (at * at);
  let series = 0;
  for (let k = STIRLING.length - 1; k >= 0; k--) series = series * inverse + STIRLING[k]!;
  return (at - 0.5) * Math.log(at) - at + LN_SQRT_2PI + series / at - shift;
}

export function lnBeta(a: number, b: number): number {
  return lnGamma(a) + lnGamma(b) - lnGamma(a + b);
}

/** ln of n over k. */
export function lnChoose(n: number, k: number): number {
  return lnGamma(n + 1) - lnGamma(k + 1) - lnGamma(n - k + 1);
}

/** Regularized incomplete beta function I_x(a, b): the distribution function of Beta(a, b) at x. DLMF 8.17.22. */
export function betaCdf(x: number, a: number, b: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - betaCdf(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - lnBeta(a, b)) / a;
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= MAX_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d);
    c = nonZero(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d);
    c = nonZero(1 + odd / c);
    const step = d * c;
    fraction *= step;
    if (Math.abs(step - 1) < EPSILON * 4) break;
  }
  return front * fraction;
}

/** Regularized upper incomplete gamma function Q(a, x). DLMF 8.7.1 below a + 1, the continued fraction 8.9.2 above. */
export function gammaQ(a: number, x: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= 0) return 1;
  const front = Math.exp(a * Math.log(x) - x - lnGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; n <= MAX_TERMS && Math.abs(term) > Math.abs(sum) * EPSILON; n++) {
      term *= x / (a + n);
      sum += term;
    }
    return 1 - front * sum;
  }
  let b = x + 1 - a;
  let c = 1 / TINY;
  let d = 1 / nonZero(b);
  let fraction = d;
  for (let n = 1; n <= MAX_TERMS; n++) {
    const top = -n * (n - a);
    b += 2;
    d = 1 / nonZero(top * d + b);
    c = nonZero(b + top / c);
    const step = d * c;
    fraction *= step;
    if (Math.abs(step - 1) < EPSILON * 4) break;
  }
  return front * fraction;
}

function nonZero(value: number): number {
  return Math.abs(value) < TINY ? TINY : value;
}

/** P(X > x) of the chi-squared distribution. */
export function chiSquaredTail(x: number, degrees: number): number {
  return gammaQ(degrees / 2, x / 2);
}

/** P(Z <= z) of the standard normal distribution. */
export function normalCdf(z: number): number {
  return z > 0 ? 1 - normalTail(z) : normalTail(-z);
}

/** P(Z > z); keeps its relative precision far out. */
export function normalTail(z: number): number {
  if (z < 0) return 1 - normalTail(-z);
  return gammaQ(0.5, (z * z) / 2) / 2;
}

export function normalDensity(z: number): number {
  return Math.exp(-(z * z) / 2 - LN_SQRT_2PI);
}

/** The z below which a share p of the standard normal distribution lies. Newton's steps in the nearer tail. */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) return Number.NaN;
  if (p === 0) return Number.NEGATIVE_INFINITY;
  if (p === 1) return Number.POSITIVE_INFINITY;
  if (p > 0.5) return -normalQuantile(1 - p);
  if (p === 0.5) return 0;
  // Abramowitz & Stegun 26.2.23 is within 4.5e-4; each Halley step of ln of the tail triples the digits.
  const t = Math.sqrt(-2 * Math.log(p));
  let z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (let round = 0; round < 4; round++) {
    const error = (normalTail(z) - p) / normalDensity(z);
    z += error / (1 + (z * error) / 2);
  }
  return -z;
}

/** P(|T| > |t|) of Student's distribution. */
export function studentTwoSided(t: number, degrees: number): number {
  return betaCdf(degrees / (degrees + t * t), degrees / 2, 0.5);
}

/** The t that is exceeded, in size, with probability p. */
export function studentTwoSidedQuantile(p: number, degrees: number): number {
  let low = 0;
  let high = 2;
  while (studentTwoSided(high, degrees) > p && high < 1e300) high *= 2;
  for (let round = 0; round < 200 && high - low > 1e-14 * high; round++) {
    const middle = (low + high) / 2;
    if (studentTwoSided(middle, degrees) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(X <= k) of the binomial distribution. */
export function binomialCdf(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n) return 1;
  return betaCdf(1 - p, n - k, k + 1);
}

/** Integral by Simpson's rule over an even number of panels. */
export function integrate(f: (x: number) => number, from: number, to: number, panels = 2000): number {
  const width = (to - from) / panels;
  let sum = f(from) + f(to);
  for (let place = 1; place < panels; place++) sum += (place % 2 === 1 ? 4 : 2) * f(from + place * width);
  return (sum * width) / 3;
}

/** A root of f between two places where its signs differ, to within `tolerance`: bisection, which cannot go astray. */
export function findRoot(f: (x: number) => number, from: number, to: number, tolerance = 1e-12): number {
  const sign = Math.sign(f(from));
  if (sign === 0) return from;
  let low = from;
  let high = to;
  while (high - low > tolerance) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (Math.sign(f(middle)) === sign) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
