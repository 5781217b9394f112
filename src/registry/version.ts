/** What a version is: immutable bytes with their signature, identified by the digest of their manifest. */
import { SlipwayError } from '../base/errors.ts';
import type { RunnerLimits } from './limits.ts';
import type { Lineage, ManifestFile } from './manifest.ts';
import type { Tags } from './model.ts';
import type { Runtime } from './runtime.ts';
import type { Signature } from './signature.ts';
import type { PlainBody, Validation } from './validation.ts';

export type VersionStatus = 'pending' | 'validating' | 'ready' | 'failed';

export type Version = {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  /** `sha256:…` of the manifest. */
  readonly digest: string;
  readonly status: VersionStatus;
  readonly statusReason: string | null;
  readonly format: string;
  readonly engine: string;
  readonly entry: string;
  readonly files: readonly ManifestFile[];
  readonly signature: Signature;
  /** What it needs to run in Python; null where an engine loads its files as data. */
  readonly runtime: Runtime | null;
  /** The Python environment that its validation made or found; null before, and where none is needed. */
  readonly environment: string | null;
  readonly sampleRequest: PlainBody;
  readonly canBatch: boolean;
  readonly canPad: boolean;
  readonly limits: RunnerLimits;
  readonly validation: Validation | null;
  readonly estimatedMemoryBytes: number;
  readonly measuredMemoryBytes: number | null;
  readonly lineage: Lineage;
  readonly tags: Tags;
  readonly card: string | null;
  readonly aliases: readonly string[];
  readonly revision: number;
  readonly createdAt: string;
  readonly createdBy: string;
  /** Only in the answer to creation: the newest earlier version of the model with the same files. */
  readonly sameBytesAs?: number;
};

export type CreateVersion = {
  readonly files: readonly { readonly path: string; readonly digest: string }[];
  readonly lineage?: Lineage;
  readonly tags?: Tags;
  readonly card?: string;
  readonly engine?: string;
  readonly limits?: Partial<RunnerLimits>;
  readonly endpoint?: string;
  readonly allowBreaking?: boolean;
  /** Whether the model's own code may run; needs the scope `code`. */
  readonly allowCode?: boolean;
};

/** How a version is named: by number, by alias, or as the latest. */
export type VersionRef =
  | { readonly kind: 'number'; readonly number: number }
  | { readonly kind: 'alias'; readonly alias: string }
  | { readonly kind: 'latest' };

export function parseRef(text: string): VersionRef {
  if (text === 'latest') return { kind: 'latest' };
  if (/^[1-9]\d{0,8}$/.test(text)) return { kind: 'number', number: Number(text) };
  return { kind: 'alias', alias: text };
}

/** An engine as far as the registry knows it. */
export type EngineFacts = { readonly name: string; readonly formats: readonly string[] };

/**
 * The engine of a version: the one asked for, or the only one that loads the format. Where several do, `auto`: validation chooses.
 * @throws SlipwayError `unsupported_option`, `model_unsupported`
 */
export function pickEngine(engines: readonly EngineFacts[], asked: string | undefined, format: string): string {
  const able = engines.filter((engine) => engine.formats.includes(format)).map((engine) => engine.name);
  if (asked === undefined || asked === 'auto') {
    if (able[0] !== undefined) return able.length === 1 ? able[0] : 'auto';
    throw new SlipwayError('model_unsupported', `There is no engine here for the format ${format}`);
  }
  if (able.includes(asked)) return asked;
  const known = engines.some((engine) => engine.name === asked);
  throw new SlipwayError(
    'unsupported_option',
    known
      ? `The engine ${asked} does not load the format ${format}`
      : `There is no engine ${JSON.stringify(asked)} here`,
    {
      hint: `Leave it to auto, or take one of: ${able.join(', ')}.`,
      fields: [{ pointer: '/engine', message: 'is not an engine for this' }],
    },
  );
}

/** Whether two lists name the same bytes at the same paths. */
export function sameFiles(
  a: readonly { path: string; digest: string }[],
  b: readonly { path: string; digest: string }[],
): boolean {
  if (a.length !== b.length) return false;
  const digests = new Map(a.map((file) => [file.path, file.digest]));
  return b.every((file) => digests.get(file.path) === file.digest);
}
