/**
 * What is counted of each arm, in the form in which gateways send it and control adds it up. All counts are totals since the stage
 * of that epoch began at that gateway's start, never differences: a report that comes twice, late or out of order changes nothing.
 */

/** Running mean and squared deviations of finite values. */
export type Moments = { readonly n: number; readonly mean: number; readonly m2: number };

export type SliceCounts = {
  readonly answered: number;
  readonly failed: number;
  /** By the levels of the measure, as in `ArmEvidence.over`. */
  readonly over: readonly number[];
  readonly timed: number;
};

/** Counts of analysed calls of one arm. */
export type ArmEvidence = {
  /** Counted when the arm was picked. */
  readonly assigned: number;
  /** Answers and failures of the version itself. Calls refused for what the caller sent, or that the caller gave up, are neither. */
  readonly answered: number;
  readonly failed: number;
  /** By error code. */
  readonly failures: Readonly<Record<string, number>>;
  /** Failures without an answer between them, up to now. */
  readonly failureRun: number;
  /** The last seconds, for ceilings. */
  readonly recent: { readonly spanMs: number; readonly answered: number; readonly failed: number };
  /** Answers that were timed: those after the warm-up. */
  readonly timed: number;
  /** Of those, how many took longer than each level of the measure. */
  readonly over: readonly number[];
  /** Timed answers by duration: counts between LATENCY_EDGES_MS. */
  readonly latency: readonly number[];
  /** By output name: counts in the order of the measure. */
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** By output name, of numbers. */
  readonly moments: Readonly<Record<string, Moments>>;
  /** By value of the slice; at most `maxSlices` and `other`. */
  readonly slices: Readonly<Record<string, SliceCounts>>;
  /** Where units are sticky: distinct units seen, and those with at least one event; null where each request is its own unit. */
  readonly units: { readonly seen: number; readonly failed: number; readonly over: readonly number[] } | null;
};

/** Evidence of one stage, by arm name. */
export type StageEvidence = {
  readonly id: string;
  readonly epoch: number;
  readonly stage: number;
  readonly arms: Readonly<Record<string, ArmEvidence>>;
  readonly shadows: Readonly<Record<string, ShadowEvidence>>;
};

/** What became of the copies for one shadow. Drops are not random, so all are counted. */
export type ShadowStatus = 'ok' | 'error' | 'timeout' | 'dropped' | 'oversize' | 'not-sampled';

export type PairCounts = {
  readonly pairs: number;
  /** The decision differs: another class, a difference that counts, another text, another first place. */
  readonly flips: number;
};

/** Comparison of one shadow's answers with the live ones. */
export type ShadowEvidence = {
  readonly statuses: Readonly<Record<ShadowStatus, number>>;
  /** Copies that were meant to be made: coverage is ok + error + timeout over this. */
  readonly intended: number;
  readonly pairs: number;
  readonly flips: number;
  /** `live>shadow` of classes: counts; at most 400 pairs of classes. */
  readonly flipMatrix: Readonly<Record<string, number>>;
  /** Answers of another form: outputs missing, other datatypes or shapes, NaN or infinities where live has none. */
  readonly schemaMismatches: number;
  /** Failures by code where the live call was answered, and where it failed with another. */
  readonly newErrors: Readonly<Record<string, number>>;
  /** shadow minus live, of the compared number. */
  readonly difference: Moments;
  readonly absoluteDifference: Moments;
  /** Of both numbers, for Lin's CCC: co-moment with their moments. */
  readonly live: Moments;
  readonly shadow: Moments;
  readonly comoment: number;
  /** Mean overlap@k, rank-biased overlap, text similarity: whichever the comparison has. */
  readonly similarity: Moments;
  readonly bySlice: Readonly<Record<string, PairCounts>>;
  /** By size of the body: powers of two of kB. */
  readonly bySize: Readonly<Record<string, { readonly intended: number; readonly compared: number }>>;
  readonly liveLatency: readonly number[];
  readonly shadowLatency: readonly number[];
  /** With feedback joined: pairs where only one was right. */
  readonly onlyLiveRight: number;
  readonly onlyShadowRight: number;
  /** Pairs that differ most, the most costly first; at most `MAX_WORST_PAIRS`. */
  readonly worst: readonly WorstPair[];
};

export const MAX_WORST_PAIRS = 50;

/** A pair that differs: what both decided, in short, and how much that matters by the comparison's own measure. */
export type WorstPair = {
  readonly predictionId: string;
  readonly cost: number;
  readonly live: string;
  readonly shadow: string;
  readonly slice: string | null;
};

/** One gateway's report: `instance` is new with every start of a gateway, `sequence` grows with every report. */
export type EvidenceReport = { readonly instance: string; readonly sequence: number; readonly evidence: StageEvidence };

const PER_DECADE = 24;

/** Ascending, about 10 % apart, from 0.1 ms to 100 s. Counts have one place more: above the last. */
export const LATENCY_EDGES_MS: readonly number[] = Array.from(
  { length: 6 * PER_DECADE + 1 },
  (_, place) => 0.1 * 10 ** (place / PER_DECADE),
);
