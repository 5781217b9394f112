/**
 * Bodies of NVIDIA's containers behind a cloud's paths: the Open Inference Protocol, with the size of its JSON in the type where tensors follow it
 * (`application/vnd.<platform>-triton.binary+json;json-header-size=N`).
 */
import type { MediaType } from '../inputs/media-type.ts';
import type { InputTarget } from '../tensors/input-check.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { writeInfer } from './open-inference-answer.ts';
import { parseInfer } from './open-inference-request.ts';
import type { Answered, InferRequest, WireAnswer, WireCall } from './protocol.ts';

export type Platform = 'sagemaker' | 'vertex-ai';

/** How the Open Inference Protocol is to write the answer. Plain data. */
export type TritonForm = { readonly form: unknown };

const typeOf = (platform: Platform): string => `application/vnd.${platform}-triton.binary+json`;

export function isTritonType({ name }: MediaType, platform: Platform): boolean {
  return name === typeOf(platform);
}

/** Whether an item of "inputs" is a tensor of the Open Inference Protocol. */
export function isTensor(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'datatype' in value && 'shape' in value;
}

/** @param type of the binary form; null for JSON alone @throws SlipwayError as the Open Inference Protocol */
export function parseTriton(
  { body }: WireCall,
  type: MediaType | null,
  target: InputTarget,
): InferRequest & { readonly triton: TritonForm } {
  const headers =
    type === null
      ? { 'content-type': 'application/json' }
      : {
          'content-type': 'application/octet-stream',
          // Absent it is all JSON.
          'inference-header-content-length': type.parameters.get('json-header-size') ?? `${body.length}`,
        };
  const request = parseInfer({ body, headers }, target);
  return { ...request, triton: { form: request.form } };
}

/** @param platform whose binary answers say the size in their type, rather than in a header */
export function writeTriton(
  request: InferRequest,
  { form }: TritonForm,
  outputs: readonly Tensor[],
  answered: Answered,
  platform: Platform | null,
): WireAnswer {
  const written = writeInfer({ ...request, form }, outputs, answered);
  if (typeof written === 'string') return { contentType: 'application/json', body: written };
  const { headers = [] } = written;
  const at = headers.findIndex((name) => name.toLowerCase() === 'inference-header-content-length');
  if (platform === null || at === -1) return written;
  return {
    ...written,
    contentType: `${typeOf(platform)};json-header-size=${headers[at + 1]}`,
    headers: [...headers.slice(0, at), ...headers.slice(at + 2)],
  };
}
