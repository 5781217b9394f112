/** Answers in TensorFlow Serving's REST form. What is not finite stands as a bare word, which is no JSON, but what it writes and its clients read. */
import { columnsToJson, type NonFinite, nestedToJson, predictionsToJson, rowTexts } from '../tensors/nested-json.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Answered, InferRequest } from './protocol.ts';
import type { PredictForm } from './tensorflow-request.ts';

/** Outputs of text with such a name are bytes, and written in base64. */
const BYTES_SUFFIX = '_bytes';

export function writePredict(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string {
  return predictText(request, outputs, answered, 'bare');
}

export function predictText(
  request: InferRequest,
  outputs: readonly Tensor[],
  { signature }: Answered,
  nonFinite: NonFinite,
): string {
  const { by } = request.form as PredictForm;
  const holdsBytes = outputs.some(isBytes);
  if (by === 'column') {
    const text = holdsBytes ? columnsWithBytes(outputs, nonFinite) : columnsToJson(outputs, nonFinite);
    return `{"outputs":${text}}`;
  }
  const text = holdsBytes
    ? rowsWithBytes(outputs, request.rows, nonFinite)
    : predictionsToJson(signature, outputs, request.rows, nonFinite);
  return `{"predictions":${text}}`;
}

function isBytes({ name, datatype }: Tensor): boolean {
  return datatype === 'BYTES' && name.endsWith(BYTES_SUFFIX);
}

function inBase64(output: Tensor): Tensor {
  return { ...output, data: (output.data as readonly string[]).map((text) => Buffer.from(text).toString('base64')) };
}

/** Every string of such a text is base64, so none holds a quote. */
function marked(text: string): string {
  return text.replace(/"[^"]*"/g, '{"b64":$&}');
}

function columnsWithBytes(outputs: readonly Tensor[], nonFinite: NonFinite): string {
  const texts = outputs.map((output) =>
    isBytes(output) ? marked(nestedToJson(inBase64(output))) : nestedToJson(output, nonFinite),
  );
  if (texts.length === 1) return texts[0]!;
  return `{${outputs.map(({ name }, i) => `${JSON.stringify(name)}:${texts[i]}`).join(',')}}`;
}

function rowsWithBytes(outputs: readonly Tensor[], rows: number, nonFinite: NonFinite): string {
  const texts = outputs.map((output) =>
    isBytes(output) ? rowTexts(inBase64(output)).map(marked) : rowTexts(output, nonFinite),
  );
  if (texts.some((one) => one.length !== rows)) return `[${columnsWithBytes(outputs, nonFinite)}]`;
  if (texts.length === 1) return `[${texts[0]!.join(',')}]`;
  const names = outputs.map(({ name }) => JSON.stringify(name));
  const row = (at: number): string => `{${names.map((name, i) => `${name}:${texts[i]![at]}`).join(',')}}`;
  return `[${Array.from({ length: rows }, (_, at) => row(at)).join(',')}]`;
}
