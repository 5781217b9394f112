/** The step between parsing and computing for inputs that came as files. */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import type { ImageDecoder } from '../../registry/input-decoder.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, rowsOf } from '../tensors/input-check.ts';
import { type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { decodeImage, elementsFor, ImageFault } from './image-file.ts';

/** A picture of a hundred bytes becomes a tensor of megabytes; requests get no more than other forms could bring. */
const MAX_TENSOR_BYTES = 64 * 1024 * 1024;
/** Files and tensors of all requests whose pictures are being decoded or wait for it. One request alone may have more. */
const MAX_BYTES_AT_ONCE = 512 * 1024 * 1024;
let bytesInUse = 0;

/**
 * Decodes all files and puts the tensors in the order of the signature.
 * @param isWanted asked before each file: whether somebody still waits for the answer
 * @throws SlipwayError `invalid_input` with every file that cannot be taken, `overloaded`, `deadline_exceeded` when it is not wanted any more
 */
export async function decodeInputs(
  { inputs, rows, encoded }: PlainInputs,
  target: InputTarget,
  isWanted: () => boolean = () => true,
): Promise<PlainInputs> {
  if (encoded === undefined) return { inputs, rows };
  const faults: FieldError[] = [];
  const jobs = encoded.map((one) => jobOf(one, target, faults));
  if (faults.length > 0) throw invalidInput(target, faults);
  const bytes = jobs.reduce((sum, job) => sum + job.bytes, 0);
  if (bytesInUse > 0 && bytesInUse + bytes > MAX_BYTES_AT_ONCE) {
    throw new SlipwayError('overloaded', 'Too many pictures are waiting to be decoded', {
      retryAfterS: 1,
      hint: 'Retry later, or send fewer pictures at once.',
    });
  }
  bytesInUse += bytes;
  const all = [...inputs];
  try {
    for (const job of jobs) all.push(await decodeAll(job, isWanted, faults));
  } finally {
    bytesInUse -= bytes;
  }
  if (faults.length === 0) assessSizes(target, all, () => '', faults);
  if (faults.length > 0) throw invalidInput(target, faults);
  const order = target.signature.inputs.map((input) => input.name);
  all.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  return { inputs: all, rows: rowsOf(all) };
}

/** The files of one input, and what they need. */
type Job = {
  readonly encoded: EncodedInput;
  readonly spec: TensorSpec;
  readonly decoder: ImageDecoder;
  readonly shape: readonly number[];
  readonly bytes: number;
};

function jobOf(encoded: EncodedInput, target: InputTarget, faults: FieldError[]): Job {
  const { files, pointers, name } = encoded;
  const spec = target.signature.inputs.find((input) => input.name === name)!;
  const { decoder } = spec;
  if (decoder?.kind !== 'image') throw new Error(`${name} has no decoder for images`);
  const { width, height, channels, layout } = decoder;
  const shape = [files.length, ...(layout === 'NCHW' ? [channels, height, width] : [height, width, channels])];
  const pointer = pointers[0] ?? '';
  const misfit = assessShape(spec, shape);
  if (misfit !== null) {
    const message =
      spec.shape[0] === 1 && files.length > 1 ? 'must be one picture: this model takes one at a time' : misfit;
    faults.push({ pointer, message });
  }
  const each = width * height * channels * datatypeInfo(spec.datatype).bytes;
  const most = Math.max(1, Math.floor(MAX_TENSOR_BYTES / each));
  if (files.length > most) {
    faults.push({ pointer, message: `is one of ${files.length} pictures; at most ${most} are taken at once` });
  }
  const bytes = files.reduce((sum, file) => sum + file.byteLength, files.length * each);
  return { encoded, spec, decoder, shape, bytes };
}

async function decodeAll(
  { encoded: { files, pointers }, spec, decoder, shape }: Job,
  isWanted: () => boolean,
  faults: FieldError[],
): Promise<Tensor> {
  const data = elementsFor(spec, decoder, files.length);
  const decode = async (row: number): Promise<void> => {
    if (faults.length >= MAX_FIELD_ERRORS) return;
    try {
      await decodeImage(files[row]!, decoder, spec, data, row, isWanted);
    } catch (error) {
      if (!(error instanceof ImageFault)) throw error;
      faults.push({ pointer: pointers[row]!, message: error.message });
    }
  };
  await Promise.all(files.map((_, row) => decode(row)));
  return { name: spec.name, datatype: spec.datatype, shape, data };
}

/** A body of the plain form as tensors, its pictures decoded: for sample requests and golden cases. */
export function tensorsOfRecords(signature: Signature, body: unknown): Promise<PlainInputs> {
  const target: InputTarget = { name: 'the request', signature, canBatch: false };
  return decodeInputs(readPlainBody(target, body), target);
}
