/** What is asked of a validation and what comes back. The validation itself runs a model, so it lives in the serving room. */
import type { ErrorCode } from '../base/errors.ts';
import type { RunnerLimits } from './limits.ts';
import type { ManifestFile } from './manifest.ts';
import type { Measure, Runtime } from './runtime.ts';
import type { Signature } from './signature.ts';

/** A body of the plain form, `POST /endpoints/{name}/predict`. */
export type PlainBody =
  | { readonly records: readonly Readonly<Record<string, unknown>>[] }
  | { readonly inputs: Readonly<Record<string, unknown>> };

/** Inputs with the outputs that the model gave where it was trained. */
export type GoldenCase = {
  readonly name?: string;
  readonly inputs: PlainBody;
  /** By output name: nested arrays in the output's shape. */
  readonly outputs: Readonly<Record<string, unknown>>;
  /** A number passes when it is within `absolute + relative * |expected|`. */
  readonly tolerance?: { readonly absolute?: number; readonly relative?: number };
};

/** A file of a version and where its bytes lie. */
export type StoredFile = ManifestFile & {
  /** Absolute path of the bytes on this machine. */
  readonly blobPath: string;
};

export type ValidationJob = {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  /** Of the artifact, as its importer names it. */
  readonly format: string;
  /** A name, or `auto`: then the validation chooses. */
  readonly engine: string;
  readonly entry: string;
  readonly files: readonly StoredFile[];
  readonly signature: Signature;
  /** What it needs to run in Python; null or absent: nothing. */
  readonly runtime?: Runtime | null;
  /** Told what is being done, in words for people, while it takes long. */
  readonly onProgress?: (words: string) => void;
  /** A request made from the golden set or the signature: what is tried when there is no golden set. */
  readonly sampleRequest: PlainBody;
  readonly limits: RunnerLimits;
  readonly golden: readonly GoldenCase[];
};

export type ValidationStep = {
  readonly name: 'environment' | 'load' | 'infer' | 'golden' | 'batch';
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly durationMs: number;
  readonly detail: string | null;
};

export type Validation = {
  readonly outcome: 'passed' | 'failed';
  readonly reason: string | null;
  readonly hint: string | null;
  readonly steps: readonly ValidationStep[];
  readonly lastStep: string | null;
  readonly exitCode: number | null;
  readonly exitSignal: string | null;
  readonly stderr: string;
  readonly loadMs: number | null;
  readonly inferMs: number | null;
  readonly peakMemoryBytes: number | null;
  readonly warnings: readonly string[];
  /** The engine it was done with, and why that one; absent where none came to be chosen. */
  readonly engine?: { readonly name: string; readonly reason: string };
  /** Protections of a Python runner, as found; absent for others. */
  readonly measures?: readonly Measure[];
  readonly finishedAt: string;
};

export type ValidationOutcome = {
  readonly validation: Validation;
  /** Whether rows of different callers may share a run: shown by running rows together and apart. */
  readonly canBatch: boolean;
  /** Whether calls of different sizes may, padded as the signature declares it: shown in the same way. */
  readonly canPad: boolean;
  readonly measuredMemoryBytes: number | null;
  /** The Python environment that was made or found; null or absent where none is needed. */
  readonly environment?: string | null;
  /** A request that the model did answer, when another than the job's was needed. */
  readonly sampleRequest?: PlainBody;
};

/**
 * Resolves with what was found of the model.
 * @throws SlipwayError with a code of `isFaultOfServer` when nothing could be found out
 */
export type Validate = (job: ValidationJob) => Promise<ValidationOutcome>;

/** Whether an error is the server's own: it says nothing about the model that was being tried. */
export function isFaultOfServer(code: ErrorCode): boolean {
  return code === 'disk_full' || code === 'data_unwritable' || code === 'shutting_down' || code === 'internal';
}
