/** Counts of one arm of one stage, as `ArmEvidence` has them: totals that only grow, in typed arrays where calls come fast. */
import type { ErrorCode } from '../../base/errors.ts';
import { type ArmEvidence, LATENCY_EDGES_MS, type Moments, type SliceCounts } from '../endpoints/arm-evidence.ts';
import { murmur3 } from '../endpoints/assignment-hash.ts';
import type { MeasureSpec, OutputMeasure } from '../endpoints/traffic.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { ObservedPrediction } from './prediction-observer.ts';

/** Distinct units that are told apart; with more, units are no longer counted. */
const MAX_UNITS = 200_000;
const RECENT_SECONDS = 10;
const OTHER = 'other';

/**
 * Failures that are not the version's: of what was sent, of the caller's own limits, of callers that went away, and of the server as a whole.
 * A model that cannot compute inputs is the version's failure: they passed the signature.
 */
const NOT_THE_VERSION: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'invalid_json',
  'invalid_input',
  'unsupported_media',
  'unsupported_option',
  'not_offered',
  'too_large',
  'key_missing',
  'key_invalid',
  'not_permitted',
  'rate_limited',
  'client_closed',
  'shutting_down',
]);

/** Whether a failure is one of the version itself. */
export function isOfVersion(code: ErrorCode): boolean {
  return !NOT_THE_VERSION.has(code);
}

/** Place of a duration among LATENCY_EDGES_MS: how many edges are below it. */
export function latencyPlace(ms: number): number {
  if (ms <= LATENCY_EDGES_MS[0]!) return 0;
  let place = Math.min(LATENCY_EDGES_MS.length, Math.max(0, Math.ceil(Math.log10(ms * 10) * 24)));
  // The logarithm is off by a rounding at most.
  if (place > 0 && ms <= LATENCY_EDGES_MS[place - 1]!) place -= 1;
  else if (place < LATENCY_EDGES_MS.length && ms > LATENCY_EDGES_MS[place]!) place += 1;
  return place;
}

class RunningMoments {
  n = 0;
  mean = 0;
  m2 = 0;

  /** Welford 1962. */
  add(value: number): void {
    this.n += 1;
    const before = value - this.mean;
    this.mean += before / this.n;
    this.m2 += before * (value - this.mean);
  }

  read(): Moments {
    return { n: this.n, mean: this.mean, m2: this.m2 };
  }
}

class Slice {
  answered = 0;
  failed = 0;
  timed = 0;
  readonly over: Float64Array;

  constructor(levels: number) {
    this.over = new Float64Array(levels);
  }

  read(): SliceCounts {
    return { answered: this.answered, failed: this.failed, timed: this.timed, over: [...this.over] };
  }
}

type Units = { readonly seen: Set<number>; readonly failed: Set<number>; readonly over: Set<number>[] };

export class ArmCounts {
  private readonly measure: MeasureSpec;
  private assigned = 0;
  private answered = 0;
  private failed = 0;
  private readonly failures = new Map<string, number>();
  private failureRun = 0;
  private timed = 0;
  private readonly over: Float64Array;
  private readonly latency = new Float64Array(LATENCY_EDGES_MS.length + 1);
  private readonly outputs: Float64Array[];
  private readonly moments: RunningMoments[];
  private readonly slices = new Map<string, Slice>();
  private units: Units | null;
  /** Answers and failures of the last seconds, by second modulo their number. */
  private readonly recent = new Float64Array(2 * RECENT_SECONDS);
  private recentSecond = 0;

  constructor(measure: MeasureSpec, countsUnits: boolean) {
    this.measure = measure;
    const levels = measure.latencyLevelsMs.length;
    this.over = new Float64Array(levels);
    this.outputs = measure.outputs.map((one) => new Float64Array(placesOf(one)));
    this.moments = measure.outputs.map(() => new RunningMoments());
    this.units = countsUnits
      ? { seen: new Set(), failed: new Set(), over: Array.from({ length: levels }, () => new Set<number>()) }
      : null;
  }

  /** @param nowMs of a clock that does not step back */
  add(prediction: ObservedPrediction, nowMs: number): void {
    this.assigned += 1;
    const { outcome } = prediction;
    if (outcome.kind === 'failed' && NOT_THE_VERSION.has(outcome.code)) return;
    this.forget(nowMs);
    const second = Math.floor(nowMs / 1000) % RECENT_SECONDS;
    const slice = this.measure.sliceBy === null ? null : this.sliceNamed(prediction.slice ?? OTHER);
    const unit = this.unitOf(prediction.assignment.unit);
    if (outcome.kind === 'failed') {
      this.failed += 1;
      this.failureRun += 1;
      this.failures.set(outcome.code, (this.failures.get(outcome.code) ?? 0) + 1);
      this.recent[2 * second + 1]! += 1;
      if (slice !== null) slice.failed += 1;
      if (unit !== null) this.units!.failed.add(unit);
      return;
    }
    this.answered += 1;
    this.failureRun = 0;
    this.recent[2 * second]! += 1;
    if (slice !== null) slice.answered += 1;
    if (this.answered > this.measure.warmUpCalls) this.time(prediction.latencyMs, slice, unit);
    for (let i = 0; i < this.measure.outputs.length; i++) this.countOutput(i, outcome.outputs);
  }

  private time(ms: number, slice: Slice | null, unit: number | null): void {
    this.timed += 1;
    this.latency[latencyPlace(ms)]! += 1;
    if (slice !== null) slice.timed += 1;
    const { latencyLevelsMs } = this.measure;
    for (let i = 0; i < latencyLevelsMs.length; i++) {
      if (ms <= latencyLevelsMs[i]!) continue;
      this.over[i]! += 1;
      if (slice !== null) slice.over[i]! += 1;
      if (unit !== null) this.units!.over[i]!.add(unit);
    }
  }

  private countOutput(index: number, outputs: readonly Tensor[]): void {
    const spec = this.measure.outputs[index]!;
    const tensor = outputs.find((one) => one.name === spec.output);
    if (tensor === undefined || tensor.data.length === 0) return;
    const rows = tensor.shape.length === 0 ? 1 : Math.max(1, tensor.shape[0]!);
    const width = tensor.data.length / rows;
    const counts = this.outputs[index]!;
    // The first row stands for the call: rows of one call are no independent observations.
    if (spec.kind === 'class') {
      counts[classPlace(spec.classes, tensor, width)]! += 1;
      return;
    }
    const value = Number(tensor.data[spec.column ?? 0]);
    if (!Number.isFinite(value)) {
      counts[counts.length - 1]! += 1;
      return;
    }
    let place = 0;
    while (place < spec.edges.length && value > spec.edges[place]!) place++;
    counts[place]! += 1;
    this.moments[index]!.add(value);
  }

  private sliceNamed(name: string): Slice {
    const known = this.slices.get(name);
    if (known !== undefined) return known;
    const isRoom = this.slices.size < this.measure.maxSlices || name === OTHER;
    if (!isRoom) return this.sliceNamed(OTHER);
    const slice = new Slice(this.measure.latencyLevelsMs.length);
    this.slices.set(name, slice);
    return slice;
  }

  private unitOf(unit: string | null): number | null {
    if (this.units === null || unit === null) return null;
    // 53 of 64 bits: two of 200,000 units meet once in 450,000 times (birthday bound n^2 / 2^54).
    const place = murmur3(unit) * 2_097_152 + (murmur3(unit, 1) >>> 11);
    this.units.seen.add(place);
    if (this.units.seen.size <= MAX_UNITS) return place;
    this.units = null;
    return null;
  }

  /** Clears the seconds that passed. */
  private forget(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const passed = Math.min(RECENT_SECONDS, second - this.recentSecond);
    for (let i = 1; i <= passed; i++) {
      const at = (this.recentSecond + i) % RECENT_SECONDS;
      this.recent[2 * at] = 0;
      this.recent[2 * at + 1] = 0;
    }
    this.recentSecond = Math.max(second, this.recentSecond);
  }

  read(nowMs: number): ArmEvidence {
    this.forget(nowMs);
    let answered = 0;
    let failed = 0;
    for (let i = 0; i < RECENT_SECONDS; i++) {
      answered += this.recent[2 * i]!;
      failed += this.recent[2 * i + 1]!;
    }
    const { outputs } = this.measure;
    return {
      assigned: this.assigned,
      answered: this.answered,
      failed: this.failed,
      failures: Object.fromEntries(this.failures),
      failureRun: this.failureRun,
      recent: { spanMs: RECENT_SECONDS * 1000, answered, failed },
      timed: this.timed,
      over: [...this.over],
      latency: [...this.latency],
      outputs: Object.fromEntries(outputs.map(({ output }, i) => [output, [...this.outputs[i]!]])),
      moments: Object.fromEntries(
        outputs.flatMap(({ kind, output }, i) => (kind === 'number' ? [[output, this.moments[i]!.read()]] : [])),
      ),
      slices: Object.fromEntries([...this.slices].map(([name, slice]) => [name, slice.read()])),
      units:
        this.units === null
          ? null
          : {
              seen: this.units.seen.size,
              failed: this.units.failed.size,
              over: this.units.over.map((one) => one.size),
            },
    };
  }
}

function placesOf(spec: OutputMeasure): number {
  return spec.kind === 'class' ? spec.classes.length + 1 : spec.edges.length + 2;
}

/** The label itself where the output is one, else the position of the largest of a row's values: classes stand in that order. */
function classPlace(classes: readonly string[], { data }: Tensor, width: number): number {
  if (width === 1) {
    const place = classes.indexOf(String(data[0]));
    return place === -1 ? classes.length : place;
  }
  let best = 0;
  for (let i = 1; i < width; i++) if (data[i]! > data[best]!) best = i;
  return Math.min(best, classes.length);
}
