import type { TensorSpec } from '../../registry/signature.ts';
import { elementsToJson } from '../tensors/json-elements.ts';
import { rawOf } from '../tensors/raw-elements.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { classesOf } from './classification.ts';
import type { Answered, InferRequest, WireAnswer } from './protocol.ts';
import { classesUs, elementsUs } from './writing-time.ts';

/** An output that a request names. */
export type AskedOutput = {
  readonly name: string;
  /** Undefined: as the request says for all. */
  readonly binary: boolean | undefined;
  /** Classes to name; 0 for the tensor itself. */
  readonly classes: number;
};

/** How each output is to be written, in the order of the answer. Requests without a form are answered with JSON. */
export type AnswerForm = { readonly binary: readonly boolean[]; readonly classes: readonly number[] };

/** Answers up to here are joined to one piece of memory, which is sent faster than two. */
const JOINED_BYTES = 16 * 1024;

/** @returns undefined where all is JSON and nothing is ranked, the usual case */
export function formOf(
  specs: readonly TensorSpec[],
  asked: readonly AskedOutput[] | null,
  binaryOutputs: boolean,
): AnswerForm | undefined {
  const written: readonly Omit<AskedOutput, 'name'>[] = asked ?? specs.map(() => ({ binary: undefined, classes: 0 }));
  const binary = written.map((one) => one.binary ?? binaryOutputs);
  const classes = written.map((one) => one.classes);
  return binary.includes(true) || classes.some((count) => count > 0) ? { binary, classes } : undefined;
}

export function writeInfer(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string | WireAnswer {
  const form = request.form as AnswerForm | undefined;
  const names = request.outputs;
  const count = names === null ? outputs.length : names.length;
  const parts: Uint8Array[] = [];
  let text = `{"model_name":"${answered.endpoint}","model_version":"${answered.version}"`;
  if (request.id !== null) text += `,"id":${JSON.stringify(request.id)}`;
  text += ',"outputs":[';
  for (let i = 0; i < count; i++) {
    let output = names === null ? outputs[i]! : outputs.find((one) => one.name === names[i])!;
    if (form !== undefined && form.classes[i]! > 0) output = classesOf(output, form.classes[i]!, answered.signature);
    if (i > 0) text += ',';
    text += `{"name":${JSON.stringify(output.name)},"datatype":"${output.datatype}","shape":[${output.shape.join(',')}],`;
    if (form?.binary[i]) {
      const bytes = rawOf(output);
      parts.push(bytes);
      text += `"parameters":{"binary_data_size":${bytes.byteLength}}}`;
    } else text += `"data":[${elementsToJson(output)}]}`;
  }
  text += ']}';
  return parts.length === 0 ? text : withBinary(text, parts);
}

/** Of tensors as raw numbers nothing is written; texts take the time that they take as JSON. */
export function inferUs({ form: given, outputs: names }: InferRequest, outputs: readonly Tensor[]): number {
  const form = given as AnswerForm | undefined;
  const chosen = names === null ? outputs : names.map((name) => outputs.find((one) => one.name === name)!);
  return chosen.reduce((sum, output, i) => {
    const classes = form?.classes[i] ?? 0;
    if (classes > 0) return sum + classesUs(output, classes);
    return form?.binary[i] && output.datatype !== 'BYTES' ? sum : sum + elementsUs(output);
  }, 0);
}

/** The tensors' own memory is sent, without a copy, where there is much of it. */
function withBinary(json: string, parts: readonly Uint8Array[]): WireAnswer {
  const jsonBytes = Buffer.byteLength(json);
  let total = jsonBytes;
  for (const part of parts) total += part.byteLength;
  const headers = ['Inference-Header-Content-Length', `${jsonBytes}`];
  const contentType = 'application/octet-stream';
  if (total > JOINED_BYTES) return { contentType, headers, body: [Buffer.from(json), ...parts] };
  const body = Buffer.allocUnsafe(total);
  let at = body.write(json);
  for (const part of parts) {
    body.set(part, at);
    at += part.byteLength;
  }
  return { contentType, headers, body };
}
