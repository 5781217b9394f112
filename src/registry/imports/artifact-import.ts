import { type FieldError, SlipwayError } from '../../base/errors.ts';
import type { RunnerLimits } from '../limits.ts';
import type { Signature } from '../signature.ts';
import type { GoldenCase, StoredFile } from '../validation.ts';
import { assessPath } from './artifact-path.ts';
import { checkExternalData } from './external-data.ts';
import { assertAllowedName, detectFormat } from './file-format.ts';
import { shapesOf, withNames } from './named-signature.ts';
import { readOnnxModel } from './onnx-reader.ts';
import { signatureOfModel } from './onnx-signature.ts';
import type { OnnxModel } from './onnx-types.ts';
import { type ByteSource, ProtobufFault } from './protobuf-cursor.ts';
import {
  faulty,
  MAX_GOLDEN_BYTES,
  MAX_SLIPWAY_FILE_BYTES,
  parseGoldenFile,
  parseSlipwayFile,
  SLIPWAY_FILE,
  type SlipwayFile,
} from './slipway-file.ts';
import { openSource, readSmall, readText } from './stored-source.ts';

/** What the files of an artifact say. Nothing in them is run. */
export type ImportedArtifact = {
  readonly format: string;
  readonly entry: string;
  /** The engine slipway.yaml asks for. */
  readonly engine: string | null;
  readonly signature: Signature;
  readonly golden: readonly GoldenCase[];
  readonly limits: Partial<RunnerLimits>;
  readonly card: string | null;
  readonly description: string | null;
  readonly estimatedMemoryBytes: number;
  readonly warnings: readonly string[];
};

const MIB = 1024 * 1024;
/** protobuf cannot hold more in one message. */
const MAX_ONNX_BYTES = 2 ** 31 - 1;
export const MAX_CARD_BYTES = MIB;
/** A runner with a model of no size: Node and the runtime's library. Measured 106 to 113 MiB. */
const RUNNER_BYTES = 112 * MIB;

/**
 * Reads an artifact: one ONNX file, or a folder with one, its external data and slipway.yaml.
 * @param ceiling the operator's limits, for a version that is being made: one that is there already keeps what it set
 * @throws SlipwayError `model_refused`, `model_invalid` or `model_unsupported`, naming the file and what to do; `invalid_request` for limits
 *   above the ceiling
 */
export async function importArtifact(
  files: readonly StoredFile[],
  ceiling: RunnerLimits | null = null,
): Promise<ImportedArtifact> {
  assertPaths(files);
  const byPath = new Map(files.map((file) => [file.path, file]));
  const about = readSlipwayFile(byPath, ceiling);
  const entry = pickEntry(files, about.entry);
  const source = openSource(entry);
  let model: OnnxModel;
  try {
    detectFormat(entry.path, source.head, entry.sizeBytes);
    assertOnnxSize(entry);
    model = await readModel(entry.path, source);
  } finally {
    source.close();
  }
  const weights = checkExternalData(model, entry, byPath);
  for (const file of files) {
    if (file === entry || weights.has(file.path)) assertAllowedName(file.path);
    else inspect(file);
  }
  const read = signatureOfModel(model, entry.path, shapesOf(about));
  const tensorBytes = model.initializerBytes + [...weights].reduce((sum, path) => sum + byPath.get(path)!.sizeBytes, 0);
  return {
    format: 'onnx',
    entry: entry.path,
    engine: about.engine ?? null,
    signature: withNames(read.signature, about),
    golden: readGolden(about, byPath),
    limits: about.limits ?? {},
    card: readCard(about, byPath),
    description: about.description ?? null,
    // The file's bytes, the tensors in the session, and copies of them packed for the processor.
    estimatedMemoryBytes: RUNNER_BYTES + entry.sizeBytes + 2 * tensorBytes,
    warnings: read.warnings,
  };
}

function assertPaths(files: readonly StoredFile[]): void {
  const fields: FieldError[] = [];
  const seen = new Map<string, string>();
  files.forEach((file, at) => {
    const pointer = `/files/${at}/path`;
    const reason = assessPath(file.path);
    if (reason !== null) fields.push({ pointer, message: `is not a path inside an artifact: ${reason}` });
    const folded = file.path.toLowerCase();
    const other = seen.get(folded);
    if (other !== undefined) {
      const how = other === file.path ? 'is there twice' : `differs from ${other} in upper and lower case only`;
      fields.push({ pointer, message: how });
    }
    seen.set(folded, file.path);
  });
  for (const path of seen.values()) {
    const parent = files.find((file) => path.startsWith(`${file.path}/`));
    if (parent) fields.push({ pointer: '/files', message: `${parent.path} is a file and a folder` });
  }
  if (files.length === 0) fields.push({ pointer: '/files', message: 'must have at least one file' });
  if (fields.length > 0) {
    throw new SlipwayError(
      'invalid_request',
      `The list of files is not valid: ${fields[0]!.pointer} ${fields[0]!.message}`,
      {
        fields,
      },
    );
  }
}

/** The only file, the one slipway.yaml names, `model.onnx`, or the only .onnx file at the top. */
function pickEntry(files: readonly StoredFile[], named: string | undefined): StoredFile {
  if (named !== undefined) {
    const file = files.find((one) => one.path === named);
    if (file && !named.includes('/')) return file;
    const message = file ? 'must lie at the top of the artifact' : 'names a file that is not in the artifact';
    throw faulty(SLIPWAY_FILE, [{ pointer: '/entry', message }]);
  }
  const top = files.filter((file) => !file.path.includes('/'));
  const onnx = top.filter((file) => file.path.toLowerCase().endsWith('.onnx'));
  const entry = onnx.find((file) => file.path === 'model.onnx') ?? (onnx.length === 1 ? onnx[0] : undefined);
  if (entry) return entry;
  if (onnx.length > 1) {
    throw new SlipwayError(
      'model_invalid',
      `There are ${onnx.length} models: ${onnx.map((one) => one.path).join(', ')}`,
      {
        hint: 'Call the one to serve model.onnx, name it in slipway.yaml (entry: …), or push the others as models of their own.',
      },
    );
  }
  // No model by name: a refusal that knows what the file is says more than "there is no .onnx".
  for (const file of files) inspect(file);
  const first = files[0]!;
  if (files.length === 1 && first.sizeBytes === 0) {
    throw new SlipwayError('model_invalid', `${first.path} is empty`, { hint: 'Check that the export finished.' });
  }
  throw new SlipwayError('model_invalid', 'There is no ONNX model among the files', {
    hint: 'Put model.onnx at the top of the folder. An ONNX model with another ending is renamed to .onnx.',
  });
}

function inspect(file: StoredFile): void {
  const source = openSource(file);
  try {
    detectFormat(file.path, source.head, file.sizeBytes);
  } finally {
    source.close();
  }
}

function assertOnnxSize(file: StoredFile): void {
  if (file.sizeBytes <= MAX_ONNX_BYTES) return;
  const gigabytes = (file.sizeBytes / 1024 ** 3).toFixed(1);
  throw new SlipwayError(
    'model_invalid',
    `${file.path} has ${gigabytes} GiB; one ONNX file cannot hold more than 2 GiB`,
    {
      hint: 'Save the weights beside it: onnx.save(model, "model.onnx", save_as_external_data=True), and push the folder.',
    },
  );
}

async function readModel(path: string, source: ByteSource): Promise<OnnxModel> {
  try {
    return await readOnnxModel(source);
  } catch (error) {
    if (!(error instanceof ProtobufFault)) throw error;
    const where = `${error.message} (at byte ${error.position} of ${source.sizeBytes})`;
    throw new SlipwayError('model_invalid', `${path} is not a whole ONNX model: ${where}`, {
      hint: 'Upload the file again in case it was cut off; else export it again and check it with onnx.checker.check_model("model.onnx").',
      cause: error,
    });
  }
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
