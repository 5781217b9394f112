/** The calls that a version and what was made of it are both asked: those that came with the version first, then rows that are drawn. */
import { createReadStream } from 'node:fs';
import { readCsv } from '../../base/csv.ts';
import { SlipwayError } from '../../base/errors.ts';
import { ProtobufFault } from '../../registry/imports/protobuf-cursor.ts';
import { type ReferenceValue, readReference } from '../../registry/imports/reference-file.ts';
import { isRowWise, type Signature, type TensorSpec } from '../../registry/signature.ts';
import type { GoldenCase, PlainBody, StoredFile } from '../../registry/validation.ts';
import { InvalidGraph, Uncovered } from '../engines/tabular/fault.ts';
import { createProbe } from '../engines/tabular/probe-inputs.ts';
import { tensorsOfRecords } from '../inputs/decode-inputs.ts';
import type { Tensor } from '../tensors/tensor.ts';

export type ComparedCall = {
  readonly origin: 'golden' | 'example' | 'reference' | 'drawn';
  readonly inputs: readonly Tensor[];
  readonly rows: number;
  /** Of each row, what was right; absent where nothing says it. */
  readonly truth?: readonly string[];
};

const MOST_REFERENCE_ROWS = 2000;
const ROWS_A_CALL = 32;
/** Drawn in calls of one row, then in calls of many: an input that the model refuses spoils a whole call. */
const DRAWN_SINGLE = 160;
const DRAWN_MANY = 3;
const SEED = 7;
/** A free dimension behind the rows. */
const DRAWN_SIZE = 3;

/**
 * @param about.truth column of the reference set that has what was right; null: none
 * @throws SlipwayError `invalid_request` where the reference set has no such column
 */
export async function givenCalls(
  signature: Signature,
  about: {
    readonly golden: readonly GoldenCase[];
    readonly example: PlainBody;
    readonly reference: StoredFile | null;
    readonly truth: string | null;
  },
): Promise<ComparedCall[]> {
  const calls: ComparedCall[] = [];
  for (const { inputs } of about.golden) {
    calls.push({ origin: 'golden', ...(await tensorsOfRecords(signature, inputs)) });
  }
  calls.push({ origin: 'example', ...(await tensorsOfRecords(signature, about.example)) });
  if (about.reference !== null) calls.push(...(await referenceCalls(signature, about.reference, about.truth)));
  else if (about.truth !== null) {
    throw new SlipwayError('invalid_request', 'The version has no reference set, so nothing says what was right', {
      hint: 'Deploy it with reference: rows.csv in slipway.yaml, a column of which has the truth; or leave --truth out.',
    });
  }
  return calls;
}

async function referenceCalls(signature: Signature, file: StoredFile, truth: string | null): Promise<ComparedCall[]> {
  if (!isRowWise(signature.inputs)) return [];
  const right = truth === null ? null : await readColumn(file, truth);
  const records: { record: Record<string, unknown>; truth: string }[] = [];
  let at = 0;
  await readReference(file, signature, (values, columns) => {
    const place = at++;
    if (records.length >= MOST_REFERENCE_ROWS) return;
    const known = new Map<string, ReferenceValue | undefined>();
    for (const [i, { side, tensor, at: element }] of columns.entries()) {
      if (side === 'input') known.set(`${tensor}\n${element}`, values[i]);
    }
    const record = recordOf(signature, known);
    if (record !== null) records.push({ record, truth: right?.[place] ?? '' });
  });
  const calls: ComparedCall[] = [];
  for (let start = 0; start < records.length; start += ROWS_A_CALL) {
    const some = records.slice(start, start + ROWS_A_CALL);
    const tensors = await tensorsOfRecords(signature, { records: some.map(({ record }) => record) });
    calls.push({
      origin: 'reference',
      ...tensors,
      ...(right === null ? {} : { truth: some.map((one) => one.truth) }),
    });
  }
  return calls;
}

/** A record of the plain form; null where a value is missing that every call needs. */
function recordOf(
  { inputs }: Signature,
  known: ReadonlyMap<string, ReferenceValue | undefined>,
): Record<string, unknown> | null {
  const record: Record<string, unknown> = {};
  for (const spec of inputs) {
    const width = spec.shape.slice(1).reduce((product, size) => product * size, 1);
    if (width < 1 || spec.shape.length > 2) return null;
    const values = Array.from({ length: width }, (_, at) => known.get(`${spec.name}\n${at}`));
    if (values.some((value) => value === undefined)) {
      if (spec.optional === true) continue;
      return null;
    }
    if (spec.features !== undefined) for (const [at, name] of spec.features.entries()) record[name] = values[at];
    else record[spec.name] = spec.shape.length === 1 || width === 1 ? values[0] : values;
  }
  return record;
}

async function readColumn(file: StoredFile, name: string): Promise<string[]> {
  const values: string[] = [];
  let place = -1;
  for await (const { fields } of readCsv(createReadStream(file.blobPath, { encoding: 'utf8' }))) {
    if (place >= 0) {
      values.push(fields[place] ?? '');
      continue;
    }
    place = fields.findIndex((field) => field.trim() === name);
    if (place < 0) {
      throw new SlipwayError('invalid_request', `${file.path} has no column ${JSON.stringify(name.slice(0, 80))}`, {
        hint: `It has ${fields.slice(0, 20).join(', ')}.`,
        fields: [{ pointer: '/truth', message: 'is no column of the reference set' }],
      });
    }
  }
  return values;
}

/** Rows made from the signature and the numbers and texts that stand in a graph. The same file gives the same rows. */
export function drawnCalls(graph: Uint8Array, signature: Signature): ComparedCall[] {
  const fixed = (spec: TensorSpec): TensorSpec => ({
    ...spec,
    shape: spec.shape.map((size, axis) => (axis > 0 && size === -1 ? DRAWN_SIZE : size)),
  });
  const inputs = signature.inputs.filter((spec) => spec.decoder?.kind !== 'image').map(fixed);
  if (inputs.length < signature.inputs.length) return []; // pictures are not drawn
  const probe = probeOf(graph, { ...signature, inputs });
  const isByRow = isRowWise(inputs);
  const sizes = [
    ...Array<number>(DRAWN_SINGLE).fill(1),
    ...(isByRow && inputs.every((spec) => spec.shape[0] === -1) ? Array<number>(DRAWN_MANY).fill(ROWS_A_CALL) : []),
  ];
  return sizes.map((rows, at) => {
    const drawn = isByRow ? probe(rows, false) : whole(probe, inputs);
    return { origin: 'drawn', inputs: at % 2 === 0 ? drawn : drawn.map(inDecimals), rows };
  });
}

/** Graphs of more than tables cannot be looked into; then the signature alone says what rows are like. */
function probeOf(graph: Uint8Array, signature: Signature): ReturnType<typeof createProbe> {
  try {
    return createProbe(graph, signature, SEED);
  } catch (error) {
    if (error instanceof Uncovered || error instanceof InvalidGraph || error instanceof ProtobufFault)
      return createProbe(null, signature, SEED);
    throw error;
  }
}

/** Numbers as people write them, 2.45: in FP64 they are none of FP32, and lie on either side of what a graph in FP32 calls 2.45. */
function inDecimals(tensor: Tensor): Tensor {
  if (!(tensor.data instanceof Float64Array)) return tensor;
  return { ...tensor, data: tensor.data.map((value) => Number(value.toPrecision(6))) };
}

/** The first dimension is no row: it has the size that the signature says. */
function whole(probe: ReturnType<typeof createProbe>, inputs: readonly TensorSpec[]): Tensor[] {
  return inputs.map(
    (spec, at) => probe(spec.shape[0] === undefined || spec.shape[0] < 1 ? 1 : spec.shape[0], false)[at]!,
  );
}
