/** What a version that was made of another one carries in its lineage: what was done, on which rows the two were compared, what came of it, and what each costs. */

export const CONVERSION_KINDS = ['convert', 'optimize'] as const;
export type ConversionKind = (typeof CONVERSION_KINDS)[number];

/** What `optimize` may do beside passes over the graph. */
export const QUANTIZATIONS = ['none', 'int8', 'int8-static', 'fp16'] as const;
export type Quantization = (typeof QUANTIZATIONS)[number];

export type Tolerance = {
  /** A number passes when |after - before| <= absolute + relative * |before|. */
  readonly absolute: number;
  readonly relative: number;
};

/** Where the rows came from that both answered. */
export type ComparedRows = {
  readonly golden: number;
  readonly example: number;
  readonly reference: number;
  /** Made from the signature and the numbers that stand in the graph. */
  readonly drawn: number;
  /** Refused by the version before: nothing to compare with. */
  readonly unanswered: number;
};

export type OutputComparison = {
  readonly name: string;
  readonly values: number;
  /** Of finite numbers; null for outputs that are none. */
  readonly largestDifference: number | null;
  /** Of |difference| / (1 + |before|). */
  readonly largestRelative: number | null;
  /** Values beyond the tolerance; labels that are not the same. */
  readonly unequal: number;
  /** Share of rows with the same label, or the same largest score. Of plain numbers R²: 1 - Σ(after - before)² / Σ(before - mean)². */
  readonly fidelity: number;
};

/** Against truth in the reference set: share of right labels, or R² of numbers. */
export type AccuracyComparison = {
  /** The column that has the truth. */
  readonly truth: string;
  readonly output: string;
  readonly rows: number;
  readonly before: number;
  readonly after: number;
  /** Most that may be lost. */
  readonly mostLost: number;
};

export type Measured = {
  readonly engine: string;
  readonly sizeBytes: number;
  readonly memoryBytes: number | null;
  /** Median milliseconds of one row, without the way there and back over HTTP. */
  readonly rowMs: number;
  readonly batchRows: number;
  readonly batchMs: number;
  /** User and system time of its process; null where the system does not tell. */
  readonly cpuMsPerThousandRows: number | null;
  /** Of the whole processor package, by its counters (RAPL); null where none can be read. */
  readonly joulesPerThousandRows: number | null;
};

export type ConversionReport = {
  readonly kind: ConversionKind;
  readonly quantize?: Quantization;
  readonly from: { readonly version: number; readonly digest: string };
  /** The programs that did it, with their versions. */
  readonly by: string;
  readonly rows: ComparedRows;
  readonly outputs: readonly OutputComparison[];
  /** For `convert`: what was allowed. */
  readonly tolerance: Tolerance | null;
  /** For `optimize`: the least that was allowed. */
  readonly leastFidelity: number | null;
  readonly accuracy: AccuracyComparison | null;
  /** Where the largest difference was, in words; null where there was none. */
  readonly worst: string | null;
  readonly before: Measured;
  readonly after: Measured;
};
