import { SlipwayError } from '../../base/errors.ts';
import type { RunnerLimits } from '../limits.ts';
import type { Runtime } from '../runtime.ts';
import type { Signature } from '../signature.ts';
import type { GoldenCase, PlainBody, StoredFile } from '../validation.ts';
import { assertPaths } from './artifact-paths.ts';
import { faulty } from './file-fault.ts';
import type { Artifact, Description, Importer } from './importer.ts';
import { IMPORTERS } from './importers.ts';
import { inspect } from './inspect-file.ts';
import { withNames } from './named-signature.ts';
import { readReference } from './reference-file.ts';
import {
  MAX_GOLDEN_BYTES,
  MAX_SLIPWAY_FILE_BYTES,
  parseGoldenFile,
  parseSlipwayFile,
  SLIPWAY_FILE,
  type SlipwayFile,
} from './slipway-file.ts';
import { readSmall, readText } from './stored-source.ts';

/** What the files of an artifact say. Nothing in them is run. */
export type ImportedArtifact = {
  /** slipway.yaml; empty where there is none. */
  readonly about: SlipwayFile;
  readonly format: string;
  readonly entry: string;
  /** The engine slipway.yaml asks for. */
  readonly engine: string | null;
  readonly signature: Signature;
  /** What it needs to run in Python; null where an engine here loads it. */
  readonly runtime: Runtime | null;
  /** What it is, for people. */
  readonly what: string;
  readonly golden: readonly GoldenCase[];
  /** A request that came with the model. */
  readonly sample: PlainBody | null;
  readonly limits: Partial<RunnerLimits>;
  readonly card: string | null;
  readonly description: string | null;
  readonly estimatedMemoryBytes: number;
  readonly warnings: readonly string[];
};

const MIB = 1024 * 1024;
export const MAX_CARD_BYTES = MIB;
/** A runner with a model of no size: Node and the runtime's library. Measured 106 to 113 MiB. */
const RUNNER_BYTES = 112 * MIB;

export type ImportOptions = {
  /** The operator's limits, for a version that is being made: one that is there already keeps what it set. */
  readonly ceiling?: RunnerLimits | null;
  /** Whether somebody who may has said that the model's own code may run, later and in a process of its own. */
  readonly allowCode?: boolean;
};

/**
 * Reads an artifact: a model of one of the formats of importers.ts, alone or in a folder with slipway.yaml.
 * @throws SlipwayError `model_refused`, `model_invalid` or `model_unsupported`, naming the file and what to do; `invalid_request` for limits
 *   above the ceiling
 */
export async function importArtifact(
  files: readonly StoredFile[],
  { ceiling = null, allowCode = false }: ImportOptions = {},
): Promise<ImportedArtifact> {
  assertPaths(files);
  const byPath = new Map(files.map((file) => [file.path, file]));
  const about = readSlipwayFile(byPath, ceiling);
  if (about.entry !== undefined && !byPath.has(about.entry)) {
    throw faulty(SLIPWAY_FILE, [{ pointer: '/entry', message: 'names a file that is not in the artifact' }]);
  }
  const artifact: Artifact = { files, byPath, about };
  const { importer, entry } = findImporter(artifact);
  const description = importer.describe(artifact, entry);
  if (description.code !== null && !allowCode) throw codeNotAllowed(entry, description);
  const read = await importer.read(artifact, entry);
  const signature = withNames(read.signature, about);
  const warnings = [...read.warnings, ...(await referenceWarnings(about, byPath, signature))];
  if (allowCode && read.runtime === null) {
    warnings.push('The permission to run code was not needed: nothing of this model is run.');
  }
  return {
    about,
    format: importer.format,
    entry: (read.entry ?? entry).path,
    engine: about.engine ?? null,
    signature,
    runtime: read.runtime,
    what: description.what,
    golden: readGolden(about, byPath),
    sample: read.sample ?? null,
    limits: about.limits ?? {},
    card: readCard(about, byPath),
    description: about.description ?? null,
    estimatedMemoryBytes: RUNNER_BYTES + read.memoryBytes,
    warnings,
  };
}

function findImporter(artifact: Artifact): { importer: Importer; entry: StoredFile } {
  for (const importer of IMPORTERS) {
    const entry = importer.detect(artifact);
    if (entry !== null) return { importer, entry };
  }
  const { files } = artifact;
  // No model by name: a refusal that knows what the file is says more than "there is no model".
  for (const file of files) inspect(file);
  const first = files[0]!;
  if (files.length === 1 && first.sizeBytes === 0) {
    throw new SlipwayError('model_invalid', `${first.path} is empty`, { hint: 'Check that the export finished.' });
  }
  throw new SlipwayError(
    'model_invalid',
    'There is no ONNX model among the files, and none of another kind that is known',
    {
      hint: 'Put model.onnx at the top of the folder. An ONNX model with another ending is renamed to .onnx. Other kinds: docs/guides/any-framework.md.',
    },
  );
}

/** Says what was found, what running it means and what else can be done. Nothing was run. */
function codeNotAllowed(entry: StoredFile, { what, code, withoutCode }: Description): SlipwayError {
  const hint = [
    ...(withoutCode === undefined ? [] : [withoutCode]),
    'If you trust where it comes from, repeat it with --allow-code (over REST "allowCode": true), with a key that has the scope code: it then runs in a Python process of its own, without network and without the rights of the server.',
  ].join(' Or: ');
  const kind = what.startsWith(`${entry.path}, `) ? what.slice(entry.path.length + 2) : what;
  return new SlipwayError('model_refused', `${entry.path} is refused: it is ${kind}: loading one ${code}`, {
    hint,
    extra: { found: what, runs: code },
  });
}

function readSlipwayFile(byPath: ReadonlyMap<string, StoredFile>, ceiling: RunnerLimits | null): SlipwayFile {
  const file = byPath.get(SLIPWAY_FILE);
  if (!file) return {};
  return parseSlipwayFile(readSmall(file, MAX_SLIPWAY_FILE_BYTES), SLIPWAY_FILE, ceiling);
}

function readGolden(about: SlipwayFile, byPath: ReadonlyMap<string, StoredFile>): readonly GoldenCase[] {
  if (about.golden === undefined) return [];
  if (typeof about.golden !== 'string') return about.golden;
  return parseGoldenFile(readSmall(named(byPath, about.golden, '/golden'), MAX_GOLDEN_BYTES), about.golden);
}

/** The reference set is read as a whole, so that a fault in it is told where it can be mended; its profile is made later. */
async function referenceWarnings(
  about: SlipwayFile,
  byPath: ReadonlyMap<string, StoredFile>,
  signature: Signature,
): Promise<string[]> {
  const file = referenceOf(about, byPath);
  if (file === null) return [];
  const { unused } = await readReference(file, signature, () => undefined);
  if (unused.length === 0) return [];
  return [
    `${file.path} has columns that are neither inputs nor outputs, which are not used: ${unused.slice(0, 20).join(', ')}.`,
  ];
}

/** The file of the reference set that slipway.yaml names; null where it names none. */
export function referenceOf(about: SlipwayFile, byPath: ReadonlyMap<string, StoredFile>): StoredFile | null {
  return about.reference === undefined ? null : named(byPath, about.reference, '/reference');
}

/** The card with the notes on preprocessing below it, as whoever calls the model needs both. */
function readCard(about: SlipwayFile, byPath: ReadonlyMap<string, StoredFile>): string | null {
  const card = about.card === undefined ? null : readText(named(byPath, about.card, '/card'), MAX_CARD_BYTES);
  if (about.preprocessing === undefined) return card;
  if (about.preprocessing.includes('\u0000')) {
    throw faulty(SLIPWAY_FILE, [{ pointer: '/preprocessing', message: 'has a NUL character' }]);
  }
  const notes = `## Preprocessing\n\n${about.preprocessing.trim()}\n`;
  return card === null ? notes : `${card.trimEnd()}\n\n${notes}`;
}

function named(byPath: ReadonlyMap<string, StoredFile>, path: string, pointer: string): StoredFile {
  const file = byPath.get(path.replace(/^(\.\/)+/, ''));
  if (file) return file;
  throw faulty(SLIPWAY_FILE, [{ pointer, message: `names ${JSON.stringify(path)}, which is not in the artifact` }]);
}
