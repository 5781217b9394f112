/** The step between parsing and computing for inputs that came as files. */
import { type FieldError, MAX_FIELD_ERRORS } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import type { EncodedInput } from '../tensors/encoded-input.ts';
import { assessShape, assessSizes, type InputTarget, invalidInput, rowsOf } from '../tensors/input-check.ts';
import { type PlainInputs, readPlainBody } from '../tensors/plain-codec.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { decodeImage, elementsFor, ImageFault } from './image-file.ts';

/** A picture of a hundred bytes becomes a tensor of megabytes; this many at once are more than any model takes in one run. */
const MAX_TENSOR_BYTES = 256 * 1024 * 1024;

/**
 * Decodes all files and puts the tensors in the order of the signature.
 * @throws SlipwayError `invalid_input` with every file that cannot be taken, `queue_full`
 */
export async function decodeInputs({ inputs, rows, encoded }: PlainInputs, target: InputTarget): Promise<PlainInputs> {
  if (encoded === undefined) return { inputs, rows };
  const faults: FieldError[] = [];
  const all = [...inputs];
  for (const one of encoded) {
    const spec = target.signature.inputs.find((input) => input.name === one.name)!;
    const tensor = await decodeInput(one, spec, faults);
    if (tensor !== null) all.push(tensor);
  }
  if (faults.length === 0) assessSizes(target, all, () => '', faults);
  if (faults.length > 0) throw invalidInput(target, faults);
  const order = target.signature.inputs.map((input) => input.name);
  all.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  return { inputs: all, rows: rowsOf(all) };
}

async function decodeInput(
  { files, pointers }: EncodedInput,
  spec: TensorSpec,
  faults: FieldError[],
): Promise<Tensor | null> {
  const { decoder } = spec;
  if (decoder?.kind !== 'image') throw new Error(`${spec.name} has no decoder for images`);
  const { width, height, channels, layout } = decoder;
  const shape = [files.length, ...(layout === 'NCHW' ? [channels, height, width] : [height, width, channels])];
  const misfit = assessShape(spec, shape);
  if (misfit !== null) {
    const message =
      spec.shape[0] === 1 && files.length > 1 ? 'must be one picture: this model takes one at a time' : misfit;
    faults.push({ pointer: pointers[0] ?? '', message });
    return null;
  }
  const most = Math.floor(MAX_TENSOR_BYTES / elementsFor(spec, decoder, 1).byteLength);
  if (files.length > most) {
    faults.push({
      pointer: pointers[0]!,
      message: `is one of ${files.length} pictures; at most ${most} are taken at once`,
    });
    return null;
  }
  const data = elementsFor(spec, decoder, files.length);
  const decode = async (row: number): Promise<void> => {
    if (faults.length >= MAX_FIELD_ERRORS) return;
    try {
      await decodeImage(files[row]!, decoder, spec, data, row);
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
