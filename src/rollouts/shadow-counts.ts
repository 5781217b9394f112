/** Counts of one shadow in one stage, as `ShadowEvidence` has them. The gateway hands each pair over; this is bounded whatever comes. */
import {
  LATENCY_EDGES_MS,
  MAX_WORST_PAIRS,
  type Moments,
  type ShadowEvidence,
  type ShadowStatus,
  type WorstPair,
} from '../serving/endpoints/arm-evidence.ts';
import type { ComparisonSpec } from '../serving/endpoints/traffic.ts';
import type { Tensor } from '../serving/tensors/tensor.ts';
import { compareAnswers, hasOtherForm } from './answer-comparison.ts';

/** What became of the copy of one call. */
export type ShadowCall = {
  readonly predictionId: string;
  readonly slice: string | null;
  readonly bodyBytes: number;
  readonly live: Answer;
  readonly shadow: Answer | { readonly kind: 'timeout' | 'dropped' | 'oversize' | 'not-sampled' };
};

export type Answer =
  | { readonly kind: 'answered'; readonly outputs: readonly Tensor[]; readonly latencyMs: number }
  | { readonly kind: 'failed'; readonly code: string; readonly latencyMs: number };

export type ShadowCounts = {
  add(call: ShadowCall): void;
  read(): ShadowEvidence;
};

const MAX_CLASS_PAIRS = 400;
const MAX_CODES = 50;
const MAX_SLICES = 20;
const OTHER = 'other';
const KIB = 1024;

export function createShadowCounts(spec: ComparisonSpec): ShadowCounts {
  const statuses: Record<ShadowStatus, number> = {
    ok: 0,
    error: 0,
    timeout: 0,
    dropped: 0,
    oversize: 0,
    'not-sampled': 0,
  };
  const flipMatrix = new Map<string, number>();
  const newErrors = new Map<string, number>();
  const bySlice = new Map<string, { pairs: number; flips: number }>();
  const bySize = new Map<string, { intended: number; compared: number }>();
  const liveLatency = new Float64Array(LATENCY_EDGES_MS.length + 1);
  const shadowLatency = new Float64Array(LATENCY_EDGES_MS.length + 1);
  const [difference, absoluteDifference, live, shadow, similarity] = Array.from({ length: 5 }, runningMoments);
  const total = { intended: 0, pairs: 0, flips: 0, schemaMismatches: 0, comoment: 0 };
  let worst: WorstPair[] = [];

  const compare = (call: ShadowCall, mine: readonly Tensor[], own: readonly Tensor[]): void => {
    if (hasOtherForm(mine, own)) {
      total.schemaMismatches += 1;
      return;
    }
    const got = compareAnswers(spec, mine, own);
    if (got === null) {
      total.schemaMismatches += 1;
      return;
    }
    total.pairs += 1;
    const slice = bounded(bySlice, call.slice ?? OTHER, MAX_SLICES, () => ({ pairs: 0, flips: 0 }));
    slice.pairs += 1;
    if (spec.kind === 'classification') addTo(flipMatrix, `${got.live}>${got.shadow}`, MAX_CLASS_PAIRS);
    if (got.similarity !== null) similarity!.add(got.similarity);
    if (got.numbers !== null) {
      const [x, y] = got.numbers;
      // Welford's update for two variables: the mean of one before, of the other after.
      const before = x - live!.mean();
      live!.add(x);
      shadow!.add(y);
      total.comoment += before * (y - shadow!.mean());
      difference!.add(y - x);
      absoluteDifference!.add(Math.abs(y - x));
    }
    if (!got.isFlip) return;
    total.flips += 1;
    slice.flips += 1;
    const least = worst.at(-1)?.cost ?? Number.NEGATIVE_INFINITY;
    if (worst.length >= MAX_WORST_PAIRS && got.cost <= least) return;
    const pair = {
      predictionId: call.predictionId,
      cost: got.cost,
      live: got.live,
      shadow: got.shadow,
      slice: call.slice,
    };
    worst = [...worst, pair].sort((a, b) => b.cost - a.cost).slice(0, MAX_WORST_PAIRS);
  };

  return {
    add(call) {
      const { live: mine, shadow: own } = call;
      const status: ShadowStatus = own.kind === 'answered' ? 'ok' : own.kind === 'failed' ? 'error' : own.kind;
      statuses[status] += 1;
      if (status === 'not-sampled') return;
      total.intended += 1;
      const size = bounded(bySize, sizeName(call.bodyBytes), 64, () => ({ intended: 0, compared: 0 }));
      size.intended += 1;
      if (own.kind !== 'answered' && own.kind !== 'failed') {
        if (own.kind === 'timeout') size.compared += 1;
        return;
      }
      size.compared += 1;
      if (own.kind === 'failed') {
        if (mine.kind === 'answered' || mine.code !== own.code) addTo(newErrors, own.code, MAX_CODES);
        return;
      }
      if (mine.kind !== 'answered') return;
      liveLatency[placeOf(mine.latencyMs)]! += 1;
      shadowLatency[placeOf(own.latencyMs)]! += 1;
      compare(call, mine.outputs, own.outputs);
    },
    read: () => ({
      statuses: { ...statuses },
      intended: total.intended,
      pairs: total.pairs,
      flips: total.flips,
      flipMatrix: Object.fromEntries(flipMatrix),
      schemaMismatches: total.schemaMismatches,
      newErrors: Object.fromEntries(newErrors),
      difference: difference!.read(),
      absoluteDifference: absoluteDifference!.read(),
      live: live!.read(),
      shadow: shadow!.read(),
      comoment: total.comoment,
      similarity: similarity!.read(),
      bySlice: Object.fromEntries([...bySlice].map(([name, one]) => [name, { ...one }])),
      bySize: Object.fromEntries([...bySize].map(([name, one]) => [name, { ...one }])),
      liveLatency: [...liveLatency],
      shadowLatency: [...shadowLatency],
      // which of them was right is joined where feedback is
      onlyLiveRight: 0,
      onlyShadowRight: 0,
      worst,
    }),
  };
}

/** Welford 1962. */
function runningMoments(): { add(value: number): void; mean(): number; read(): Moments } {
  let n = 0;
  let mean = 0;
  let m2 = 0;
  return {
    add(value) {
      n += 1;
      const before = value - mean;
      mean += before / n;
      m2 += before * (value - mean);
    },
    mean: () => mean,
    read: () => ({ n, mean, m2 }),
  };
}

/** The smallest power of two of kB that holds it. */
function sizeName(bytes: number): string {
  return String(2 ** Math.max(0, Math.ceil(Math.log2(Math.max(1, bytes) / KIB))));
}

function placeOf(ms: number): number {
  let low = 0;
  let high = LATENCY_EDGES_MS.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (LATENCY_EDGES_MS[middle]! >= ms) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** What stands under a name; of too many names under `other`. */
function bounded<T>(map: Map<string, T>, name: string, most: number, create: () => T): T {
  const known = map.get(name);
  if (known !== undefined) return known;
  if (map.size >= most && name !== OTHER) return bounded(map, OTHER, most, create);
  const made = create();
  map.set(name, made);
  return made;
}

function addTo(map: Map<string, number>, name: string, most: number): void {
  const key = map.has(name) || map.size < most ? name : OTHER;
  map.set(key, (map.get(key) ?? 0) + 1);
}
