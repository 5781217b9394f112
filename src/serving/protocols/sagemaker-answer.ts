/** Answers of SageMaker's invocations: in the type that Accept names, else in that of the request. */
import { csvField } from '../../base/csv.ts';
import { SlipwayError } from '../../base/errors.ts';
import { elementValues } from '../tensors/json-elements.ts';
import { predictionsToJson, rowTexts } from '../tensors/nested-json.ts';
import { answersByRow } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { EVENT_STREAM, payloadParts } from './event-stream.ts';
import type { Answered, InferRequest, WireAnswer } from './protocol.ts';
import type { Form } from './sagemaker-request.ts';
import { writeTriton } from './triton-body.ts';
import { weightedNames } from './weighted-names.ts';

export type AnswerType = 'json' | 'csv' | 'jsonlines';

const TYPES: ReadonlyMap<string, AnswerType | 'any'> = new Map<string, AnswerType | 'any'>([
  ['application/json', 'json'],
  ['text/csv', 'csv'],
  ['application/jsonlines', 'jsonlines'],
  ['application/jsonl', 'jsonlines'],
  ['application/x-ndjson', 'jsonlines'],
  ['application/*', 'json'],
  ['text/*', 'csv'],
  ['*/*', 'any'],
]);
const CONTENT_TYPES: Readonly<Record<AnswerType, string>> = {
  json: 'application/json',
  csv: 'text/csv; charset=utf-8',
  jsonlines: 'application/jsonlines',
};

/** Marks the error for a type that is not made here: 406. */
export const NOT_ACCEPTABLE = 'notAcceptable';

/** @param usual where nothing is asked for */
export function answerTypeOf(accept: string | null, usual: AnswerType): AnswerType {
  if (accept === null) return usual;
  let best: AnswerType | null = null;
  let bestWeight = 0;
  for (const { name, weight } of weightedNames(accept)) {
    const type = TYPES.get(name);
    if (type === undefined || weight <= bestWeight) continue;
    best = type === 'any' ? usual : type;
    bestWeight = weight;
  }
  if (best !== null) return best;
  throw new SlipwayError('unsupported_media', `Answers are not made as ${JSON.stringify(accept.slice(0, 100))}`, {
    hint: 'Accept application/json, text/csv or application/jsonlines.',
    extra: { [NOT_ACCEPTABLE]: true },
  });
}

export function writeInvocation(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const form = request.form as Form;
  const headers = [...form.echoes, 'x-Amzn-Invoked-Production-Variant', form.variant ?? `${answered.version}`];
  if (form.triton !== undefined) {
    const written = writeTriton(request, form.triton, outputs, answered, 'sagemaker');
    return { ...written, headers: [...headers, ...(written.headers ?? [])] };
  }
  return { contentType: CONTENT_TYPES[form.answer], headers, body: bodyOf(form, request, outputs, answered) };
}

/** The same body as events; what its type would have been is in a header. */
export function writeStream(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const { contentType, body, headers = [] } = writeInvocation(request, outputs, answered);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body instanceof Uint8Array ? body : Buffer.concat(body);
  return {
    contentType: EVENT_STREAM,
    headers: [...headers, 'X-Amzn-SageMaker-Content-Type', contentType],
    body: payloadParts(bytes),
  };
}

function bodyOf(
  { answer, bare }: Form,
  { rows }: InferRequest,
  outputs: readonly Tensor[],
  { signature }: Answered,
): string {
  const byRow = answersByRow(signature, outputs, rows);
  if (answer === 'csv') return csvOf(outputs, byRow ? rows : 1);
  if (answer === 'json') {
    const predictions = predictionsToJson(signature, outputs, rows);
    return bare ? predictions : `{"predictions":${predictions}}`;
  }
  if (!byRow) return `${predictionsToJson(signature, outputs, rows).slice(1, -1)}\n`;
  const [only] = outputs;
  if (outputs.length === 1) return `${rowTexts(only!).join('\n')}\n`;
  const texts = outputs.map((output) => rowTexts(output));
  const names = outputs.map(({ name }) => JSON.stringify(name));
  let body = '';
  for (let row = 0; row < rows; row++) body += `{${names.map((name, at) => `${name}:${texts[at]![row]}`).join(',')}}\n`;
  return body;
}

/** All values of a row in one line, output after output, without a line of names: as the request's tables. */
function csvOf(outputs: readonly Tensor[], rows: number): string {
  const columns = outputs.map((output) => ({ values: elementValues(output), width: output.data.length / rows }));
  let body = '';
  for (let row = 0; row < rows; row++) {
    let line = '';
    for (const { values, width } of columns) {
      for (let at = row * width; at < (row + 1) * width; at++) {
        const value = values[at];
        line += `,${typeof value === 'number' ? value : csvField(value)}`;
      }
    }
    body += `${line.slice(1)}\n`;
  }
  return body;
}
