/**
 * Copies of live calls for versions whose answers are thrown away. A copy is made after the live answer is on its way, goes to a runner that no
 * caller uses, once, and only while few are under way: what finds no room is dropped and counted, because drops are not random.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ErrorCode, SlipwayError } from '../../base/errors.ts';
import type { ShadowEvidence } from '../endpoints/arm-evidence.ts';
import { fractionOf } from '../endpoints/assignment-hash.ts';
import type { ComparisonSpec, ShadowSpec, TrafficSplit } from '../endpoints/traffic.ts';
import type { CallTimings } from '../runner/runner.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import { bytesOf } from './answer-memory.ts';
import { isOfVersion } from './arm-counts.ts';
import type { ShadowReading } from './evidence-recorder.ts';
import type { ObservedPrediction, PredictionObserver } from './prediction-observer.ts';
import type { ServedShadow, ServingState } from './serving-state.ts';

export type ShadowAnswer =
  | { readonly kind: 'answered'; readonly outputs: readonly Tensor[]; readonly latencyMs: number }
  | { readonly kind: 'failed'; readonly code: string; readonly latencyMs: number };

/** What became of the copy of one call. */
export type ShadowedCall = {
  readonly predictionId: string;
  readonly slice: string | null;
  readonly bodyBytes: number;
  readonly live: ShadowAnswer;
  readonly shadow: ShadowAnswer | { readonly kind: 'timeout' | 'dropped' | 'oversize' | 'not-sampled' };
};

/** Counts and compares; rollouts pass it in. */
export type ShadowComparison = { add(call: ShadowedCall): void; read(): ShadowEvidence };

export type ShadowCalls = {
  readonly observe: PredictionObserver;
  readings(): readonly ShadowReading[];
  /** Why no copies are made now; null while they are. */
  readonly pausedFor: string | null;
  close(): void;
};

export type ShadowCallsDeps = {
  readonly state: Pick<ServingState, 'find'>;
  readonly compare: (spec: ComparisonSpec) => ShadowComparison;
  /** Told of each copy that was answered or failed, as of any prediction. */
  readonly tell: PredictionObserver;
  /** Delay of the event loop in milliseconds at the 99th percentile, since it was asked last; tests give their own. */
  readonly loopDelayMs?: () => number;
};

/** Counts that are kept after their stage. */
const KEPT = 64;
/** Larger answers are not compared, and bring a pause: reading them takes time from live calls. */
const MOST_ANSWER_BYTES = 8 * 1024 * 1024;
const CHECK_MS = 1_000;
/** Copies stop while the event loop is later than this, and go on below the other. */
const SLOW_LOOP_MS = 20;
const QUICK_LOOP_MS = 10;
/** Copies stop for a while when more than half of so many failed. */
const LOOKED_AT = 40;
const PAUSE_MS = 10_000;
const DELAY_RESOLUTION_MS = 10;

type Counted = { readonly of: TrafficSplit; readonly name: string; readonly comparison: ShadowComparison };
/** What is under way for one shadow, and how its last copies went. */
type Load = { inFlight: number; bytes: number; seen: number; failed: number; pausedUntilMs: number };

export function createShadowCalls(deps: ShadowCallsDeps): ShadowCalls {
  const { state, compare, tell } = deps;
  const counted = new Map<string, Counted>();
  const loads = new Map<string, Load>();
  const delay = deps.loopDelayMs === undefined ? monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS }) : null;
  let isMeasuring = false;
  let checks: NodeJS.Timeout | null = null;
  let lastUsedMs = 0;
  let isSlow = false;

  const loopDelayMs =
    deps.loopDelayMs ??
    ((): number => {
      // The timer itself is late by up to its resolution.
      const ms = delay!.percentile(99) / 1e6 - DELAY_RESOLUTION_MS;
      delay!.reset();
      return Number.isFinite(ms) ? ms : 0;
    });

  /** Measures while there are shadows, and a little longer. */
  const check = (): void => {
    if (performance.now() - lastUsedMs > 10 * CHECK_MS) {
      if (checks !== null) clearInterval(checks);
      checks = null;
      delay?.disable();
      isMeasuring = false;
      isSlow = false;
      return;
    }
    const ms = loopDelayMs();
    isSlow = isSlow ? ms > QUICK_LOOP_MS : ms > SLOW_LOOP_MS;
  };
  const measure = (): void => {
    lastUsedMs = performance.now();
    if (isMeasuring) return;
    isMeasuring = true;
    delay?.enable();
    checks = setInterval(check, CHECK_MS).unref();
  };

  const comparisonOf = (split: TrafficSplit, spec: ShadowSpec): ShadowComparison => {
    const key = `${split.id}/${split.epoch}/${split.stage}/${spec.name}`;
    const known = counted.get(key);
    if (known !== undefined) return known.comparison;
    const comparison = compare(spec.compare);
    counted.set(key, { of: split, name: spec.name, comparison });
    if (counted.size > KEPT) counted.delete(counted.keys().next().value!);
    return comparison;
  };

  const loadOf = (key: string): Load => {
    let load = loads.get(key);
    if (load === undefined) {
      load = { inFlight: 0, bytes: 0, seen: 0, failed: 0, pausedUntilMs: 0 };
      loads.set(key, load);
      if (loads.size > KEPT)
        for (const [old, { inFlight }] of loads) if (inFlight === 0 && old !== key) loads.delete(old);
    }
    return load;
  };

  const copy = (prediction: ObservedPrediction, split: TrafficSplit, { spec, version }: ServedShadow): void => {
    const { predictionId, requestId, slice, outcome, rows } = prediction;
    const comparison = comparisonOf(split, spec);
    const bodyBytes = bytesOf(prediction.inputs!);
    const liveMs = prediction.queueMs + prediction.runMs;
    const about = { predictionId, slice, bodyBytes };
    const nothing: ShadowAnswer = { kind: 'failed', code: '', latencyMs: liveMs };
    const without = (kind: 'dropped' | 'oversize' | 'not-sampled'): void =>
      comparison.add({ ...about, live: nothing, shadow: { kind } });
    const load = loadOf(version.key);
    const obstacle =
      fractionOf(spec.salt, requestId) >= spec.sampleShare
        ? 'not-sampled'
        : bodyBytes > spec.maxBodyBytes
          ? 'oversize'
          : canTake(load, bodyBytes, spec) && version.isUp
            ? null
            : 'dropped';
    if (obstacle !== null) {
      without(obstacle);
      return;
    }
    // Its own memory: what a call came in may be part of something much larger.
    const inputs = prediction.inputs!.map(copyOf);
    const live: ShadowAnswer =
      outcome.kind === 'answered'
        ? { kind: 'answered', outputs: outcome.outputs.map(copyOf), latencyMs: liveMs }
        : { kind: 'failed', code: outcome.code, latencyMs: liveMs };
    load.inFlight += 1;
    load.bytes += bodyBytes;
    const atMs = Date.now();
    const done = (error: SlipwayError | null, outputs: readonly Tensor[] | null, timings: CallTimings): void => {
      load.inFlight -= 1;
      load.bytes -= bodyBytes;
      const { queueMs, runMs } = timings;
      const latencyMs = queueMs + runMs;
      const isHuge = outputs !== null && bytesOf(outputs) > MOST_ANSWER_BYTES;
      const code: ErrorCode | null = isHuge ? 'answer_too_large' : error === null ? null : error.code;
      judge(load, code !== null, isHuge);
      if (code === 'shutting_down') {
        without('dropped'); // it was switched off
        return;
      }
      const isLate = code === 'deadline_exceeded' || code === 'run_timeout';
      const shadow: ShadowedCall['shadow'] = isLate
        ? { kind: 'timeout' }
        : code === null
          ? { kind: 'answered', outputs: outputs!, latencyMs }
          : { kind: 'failed', code, latencyMs };
      comparison.add({ ...about, live, shadow });
      const { spec: served } = version;
      tell({
        ...prediction,
        predictionId: `${predictionId}.${spec.name}`,
        atMs,
        model: served.model,
        version: served.version,
        versionDigest: served.digest,
        signature: served.signature,
        outcome: code === null ? { kind: 'answered', outputs: outputs! } : { kind: 'failed', code },
        inputs,
        latencyMs,
        queueMs,
        runMs,
        shadowOf: predictionId,
      });
    };
    try {
      version.supervisor!.infer(inputs, rows, { timeoutMs: spec.timeoutMs, priority: 'low' }, done);
    } catch {
      load.inFlight -= 1;
      load.bytes -= bodyBytes;
      without('dropped');
    }
  };

  const canTake = (load: Load, bodyBytes: number, { maxInFlight, maxBytesInFlight }: ShadowSpec): boolean =>
    load.inFlight < maxInFlight &&
    load.bytes + bodyBytes <= maxBytesInFlight &&
    !isSlow &&
    performance.now() >= load.pausedUntilMs;

  /** Stops copies for a while where most of the last ones failed, or one was far too large. */
  const judge = (load: Load, hasFailed: boolean, isHuge: boolean): void => {
    load.seen += 1;
    if (hasFailed) load.failed += 1;
    if (isHuge || (load.seen >= LOOKED_AT && load.failed > load.seen / 2)) {
      load.pausedUntilMs = performance.now() + PAUSE_MS;
    }
    if (load.seen >= LOOKED_AT || isHuge) {
      load.seen = 0;
      load.failed = 0;
    }
  };

  return {
    observe(prediction) {
      const { split, outcome, assignment } = prediction;
      if (split === null || prediction.shadowOf !== null || prediction.inputs === null) return;
      if (assignment.reason === 'pin' || (outcome.kind === 'failed' && !isOfVersion(outcome.code))) return;
      const shadows = state.find(prediction.project, prediction.endpoint)?.shadows ?? [];
      if (shadows.length === 0) return;
      measure();
      for (const shadow of shadows) {
        // What the candidate itself answered is no comparison.
        if (shadow.spec.role === 'candidate' && shadow.spec.version === prediction.version) continue;
        // Its runner is being loaded: the stage begins for it when it can answer, and nothing was dropped.
        if (!shadow.version.wasReady) continue;
        copy(prediction, split, shadow);
      }
    },
    readings: () =>
      [...counted.values()].map(({ of: { id, epoch, stage }, name, comparison }) => ({
        id,
        epoch,
        stage,
        name,
        evidence: comparison.read(),
      })),
    get pausedFor() {
      return isSlow ? 'the event loop is late' : null;
    },
    close() {
      if (checks !== null) clearInterval(checks);
      delay?.disable();
    },
  };
}

function copyOf(tensor: Tensor): Tensor {
  return Array.isArray(tensor.data) ? tensor : { ...tensor, data: (tensor.data as NumericData).slice() };
}
