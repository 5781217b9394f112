/**
 * Evidence of several gateways as one. Reports are totals since a gateway's start, so of each instance the latest counts and nothing else: a
 * report that is lost, comes twice or out of order changes nothing, and a gateway that is gone leaves what it last said.
 */
import {
  type ArmEvidence,
  type EvidenceReport,
  MAX_WORST_PAIRS,
  type PairCounts,
  type ShadowEvidence,
  type ShadowStatus,
  type SliceCounts,
  type StageEvidence,
} from '../serving/endpoints/arm-evidence.ts';
import { joinMoments } from './strata.ts';

/** Whether a report is newer than the one of the same instance that is known. */
export function isNewer(report: EvidenceReport, known: EvidenceReport | undefined): boolean {
  return known === undefined || report.sequence > known.sequence;
}

/** @returns null when none of the reports is about this epoch and stage */
export function mergeReports(
  reports: Iterable<EvidenceReport>,
  of: { readonly id: string; readonly epoch: number; readonly stage: number },
): StageEvidence | null {
  const latest = new Map<string, EvidenceReport>();
  for (const report of reports) {
    const { id, epoch, stage } = report.evidence;
    if (id !== of.id || epoch !== of.epoch || stage !== of.stage) continue;
    if (isNewer(report, latest.get(report.instance))) latest.set(report.instance, report);
  }
  if (latest.size === 0) return null;
  const parts = [...latest.values()].map((one) => one.evidence);
  return {
    ...of,
    arms: mergeRecords(
      parts.map((one) => one.arms),
      mergeArms,
    ),
    shadows: mergeRecords(
      parts.map((one) => one.shadows),
      mergeShadows,
    ),
  };
}

export function mergeArms(a: ArmEvidence, b: ArmEvidence): ArmEvidence {
  return {
    assigned: a.assigned + b.assigned,
    answered: a.answered + b.answered,
    failed: a.failed + b.failed,
    failures: mergeCounts(a.failures, b.failures),
    // each gateway sees its own part in order; the longer of both is a run that surely was
    failureRun: Math.max(a.failureRun, b.failureRun),
    recent: {
      spanMs: Math.max(a.recent.spanMs, b.recent.spanMs),
      answered: a.recent.answered + b.recent.answered,
      failed: a.recent.failed + b.recent.failed,
    },
    timed: a.timed + b.timed,
    over: addLists(a.over, b.over),
    latency: addLists(a.latency, b.latency),
    outputs: mergeRecords([a.outputs, b.outputs], addLists),
    moments: mergeRecords([a.moments, b.moments], joinMoments),
    slices: mergeRecords([a.slices, b.slices], mergeSlices),
    // a unit that came to both counts twice: of sticky units few do, and equally in all arms
    units:
      a.units === null || b.units === null
        ? null
        : {
            seen: a.units.seen + b.units.seen,
            failed: a.units.failed + b.units.failed,
            over: addLists(a.units.over, b.units.over),
          },
  };
}

function mergeSlices(a: SliceCounts, b: SliceCounts): SliceCounts {
  return {
    answered: a.answered + b.answered,
    failed: a.failed + b.failed,
    over: addLists(a.over, b.over),
    timed: a.timed + b.timed,
  };
}

export function mergeShadows(a: ShadowEvidence, b: ShadowEvidence): ShadowEvidence {
  const live = joinMoments(a.live, b.live);
  return {
    statuses: mergeCounts(a.statuses, b.statuses) as Record<ShadowStatus, number>,
    intended: a.intended + b.intended,
    pairs: a.pairs + b.pairs,
    flips: a.flips + b.flips,
    flipMatrix: mergeCounts(a.flipMatrix, b.flipMatrix),
    schemaMismatches: a.schemaMismatches + b.schemaMismatches,
    newErrors: mergeCounts(a.newErrors, b.newErrors),
    difference: joinMoments(a.difference, b.difference),
    absoluteDifference: joinMoments(a.absoluteDifference, b.absoluteDifference),
    live,
    shadow: joinMoments(a.shadow, b.shadow),
    comoment: joinComoments(a, b),
    similarity: joinMoments(a.similarity, b.similarity),
    bySlice: mergeRecords([a.bySlice, b.bySlice], mergePairs),
    bySize: mergeRecords([a.bySize, b.bySize], (x, y) => ({
      intended: x.intended + y.intended,
      compared: x.compared + y.compared,
    })),
    liveLatency: addLists(a.liveLatency, b.liveLatency),
    shadowLatency: addLists(a.shadowLatency, b.shadowLatency),
    onlyLiveRight: a.onlyLiveRight + b.onlyLiveRight,
    onlyShadowRight: a.onlyShadowRight + b.onlyShadowRight,
    worst: [...a.worst, ...b.worst].sort((x, y) => y.cost - x.cost).slice(0, MAX_WORST_PAIRS),
  };
}

/** Sum of products of deviations of two groups together (Chan, Golub & LeVeque 1979, for two variables). */
function joinComoments(a: ShadowEvidence, b: ShadowEvidence): number {
  const n = a.live.n + b.live.n;
  if (n === 0) return 0;
  const cross = (b.live.mean - a.live.mean) * (b.shadow.mean - a.shadow.mean);
  return a.comoment + b.comoment + (cross * a.live.n * b.live.n) / n;
}

function mergePairs(a: PairCounts, b: PairCounts): PairCounts {
  return { pairs: a.pairs + b.pairs, flips: a.flips + b.flips };
}

function mergeRecords<T>(parts: readonly Readonly<Record<string, T>>[], merge: (a: T, b: T) => T): Record<string, T> {
  const result = new Map<string, T>();
  for (const part of parts) {
    for (const [key, value] of Object.entries(part)) {
      const known = result.get(key);
      result.set(key, known === undefined ? value : merge(known, value));
    }
  }
  return Object.fromEntries(result);
}

function mergeCounts(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  return mergeRecords([a, b], (x, y) => x + y);
}

function addLists(a: readonly number[], b: readonly number[]): number[] {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  return long.map((value, at) => value + (short[at] ?? 0));
}
