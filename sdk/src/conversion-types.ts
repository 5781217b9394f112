/** Versions that are made of others: converted to ONNX, or optimised. */

export type ConversionSpec =
  | { kind: 'convert'; to: 'onnx'; tolerance?: { absolute?: number; relative?: number } }
  | {
      kind: 'optimize';
      quantize: Quantization;
      /** Least share of rows answered alike, from 0 to 1; 0.99 unless given. */
      leastFidelity?: number;
      /** Column of the reference set that has what was right. */
      truth?: string;
      /** The output held against it; the first unless given. */
      output?: string;
      /** Most of the accuracy that may be lost; 0.01 unless given. */
      mostLost?: number;
    };

export type Quantization = 'none' | 'int8' | 'int8-static' | 'fp16';

/** What one version costs, as measured beside the other. */
export type MeasuredVersion = {
  engine: string;
  sizeBytes: number;
  memoryBytes: number | null;
  /** Median milliseconds of one row. */
  rowMs: number;
  batchRows: number;
  batchMs: number;
  cpuMsPerThousandRows: number | null;
  /** Of the whole processor, by its own counters; null where it shows none. */
  joulesPerThousandRows: number | null;
};

export type ConversionReport = {
  kind: 'convert' | 'optimize';
  quantize?: Quantization;
  from: { version: number; digest: string };
  /** The programs that did it, with their versions. */
  by: string;
  /** Where the rows came from that both answered. */
  rows: { golden: number; example: number; reference: number; drawn: number; unanswered: number };
  outputs: {
    name: string;
    values: number;
    largestDifference: number | null;
    /** Of |difference| / (1 + |before|). */
    largestRelative: number | null;
    unequal: number;
    /** Share of rows with the same label or class; of plain numbers R². */
    fidelity: number;
  }[];
  tolerance: { absolute: number; relative: number } | null;
  leastFidelity: number | null;
  accuracy: {
    truth: string;
    output: string;
    rows: number;
    before: number;
    after: number;
    mostLost: number;
  } | null;
  worst: string | null;
  before: MeasuredVersion;
  after: MeasuredVersion;
};

export type Conversion = {
  id: string;
  model: string;
  /** Number of the version that it is made of. */
  from: number;
  spec: ConversionSpec;
  /** refused: it was made, and did not pass; failed: it could not be made. */
  status: 'waiting' | 'working' | 'made' | 'refused' | 'failed';
  /** What it is doing, or why it was refused or failed. */
  reason: string | null;
  hint: string | null;
  report: ConversionReport | null;
  /** The version that was made. */
  version: number | null;
  createdAt: string;
  createdBy: string;
  finishedAt: string | null;
};
