/** The files of a version that was made of another: its ONNX, and what the other's folder said beside its model. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tolerance } from '../../registry/conversion-report.ts';
import type { SlipwayFile } from '../../registry/imports/slipway-file.ts';
import type { GoldenCase, StoredFile } from '../../registry/validation.ts';
import { nestedValues } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';

export type AnsweredCall = {
  readonly inputs: readonly Tensor[];
  readonly rows: number;
  readonly outputs: readonly Tensor[];
};

/** Cases that are written where the version before has no golden set: enough to prove it again at every validation. */
export const MOST_CASES = 24;
const MOST_CASE_VALUES = 4096;

/**
 * Lays them into a folder.
 * @param made.answered what the version before answered; it becomes the golden set where that has none
 */
export async function layConvertedFiles(
  folder: string,
  made: {
    readonly onnx: Uint8Array;
    readonly about: SlipwayFile;
    /** Files of the version before, to take those that slipway.yaml names. */
    readonly files: readonly StoredFile[];
    readonly golden: readonly GoldenCase[];
    readonly answered: readonly AnsweredCall[];
    /** Null: as wide as what was allowed cannot be a tolerance of golden cases, so there are none. */
    readonly tolerance: Tolerance | null;
    readonly description: string;
  },
): Promise<StoredFile[]> {
  await mkdir(folder, { recursive: true });
  const { about, files } = made;
  const golden = casesOf(made);
  const kept = [about.reference, about.card].flatMap((path) => {
    const file = path === undefined ? undefined : files.find((one) => one.path === path.replace(/^(\.\/)+/, ''));
    return file === undefined ? [] : [file];
  });
  const text: SlipwayFile = {
    ...(about.name === undefined ? {} : { name: about.name }),
    description: made.description.slice(0, 1000),
    entry: 'model.onnx',
    ...sidesOf(about),
    ...(golden.length === 0 ? {} : { golden: 'golden.json' }),
    ...(about.reference === undefined ? {} : { reference: about.reference }),
    ...(about.preprocessing === undefined ? {} : { preprocessing: about.preprocessing }),
    ...(about.card === undefined ? {} : { card: about.card }),
  };
  const written = [
    await write(folder, 'model.onnx', made.onnx),
    // JSON is YAML.
    await write(folder, 'slipway.yaml', Buffer.from(`${JSON.stringify(text, null, 1)}\n`)),
    ...(golden.length === 0 ? [] : [await write(folder, 'golden.json', Buffer.from(JSON.stringify(golden)))]),
  ];
  return [...written, ...kept.filter((file) => written.every(({ path }) => path !== file.path))];
}

/** Names, decoders and padding; types and shapes stand in the graph now. */
function sidesOf({ signature }: SlipwayFile): Pick<SlipwayFile, 'signature'> {
  if (signature === undefined) return {};
  const inputs = Object.entries(signature.inputs ?? {}).map(([name, { datatype: _d, shape: _s, ...rest }]) => [
    name,
    rest,
  ]);
  const outputs = Object.entries(signature.outputs ?? {}).map(
    ([name, { datatype: _d, shape: _s, method: _m, ...rest }]) => [name, rest],
  );
  const named = (side: (string | object)[][]) =>
    Object.fromEntries(side.filter(([, rest]) => Object.keys(rest!).length > 0));
  return { signature: { inputs: named(inputs), outputs: named(outputs) } };
}

function casesOf({
  golden,
  answered,
  tolerance,
}: {
  readonly golden: readonly GoldenCase[];
  readonly answered: readonly AnsweredCall[];
  readonly tolerance: Tolerance | null;
}): GoldenCase[] {
  if (tolerance === null) return [];
  if (golden.length > 0) return golden.map((one) => ({ ...one, tolerance: wider(one.tolerance, tolerance) }));
  return answered
    .filter((call) => [...call.inputs, ...call.outputs].every(isPlain))
    .slice(0, MOST_CASES)
    .map(({ inputs, outputs }) => ({
      inputs: { inputs: valuesOf(inputs) },
      outputs: valuesOf(outputs),
      tolerance,
    }));
}

function valuesOf(tensors: readonly Tensor[]): Record<string, unknown> {
  return Object.fromEntries(tensors.map((tensor) => [tensor.name, plain(nestedValues(tensor))]));
}

/** Short enough to be written out, and exact in JSON. */
function isPlain({ data }: Tensor): boolean {
  if (data.length > MOST_CASE_VALUES) return false;
  return !(data instanceof BigInt64Array || data instanceof BigUint64Array) || data.every(isSafe);
}

function isSafe(value: bigint): boolean {
  return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value));
}

/** JSON has neither NaN nor 64-bit integers: golden sets write the first as a text. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

function wider(own: GoldenCase['tolerance'], { absolute, relative }: Tolerance): Tolerance {
  return { absolute: Math.max(own?.absolute ?? 0, absolute), relative: Math.max(own?.relative ?? 0, relative) };
}

async function write(folder: string, path: string, bytes: Uint8Array): Promise<StoredFile> {
  const blobPath = join(folder, path);
  await writeFile(blobPath, bytes, { mode: 0o600 });
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { path, blobPath, sizeBytes: bytes.length, digest };
}
