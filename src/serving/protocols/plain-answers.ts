/** Answers of the plain form, one prediction a row: JSON, and what a caller asks for with `Accept`. */
import { csvField } from '../../base/csv.ts';
import { flatRow } from '../../base/flat-row.ts';
import { type ArrowColumn, writeArrowStream } from '../arrow/arrow-writer.ts';
import { writeJson } from '../tensors/json-text.ts';
import { answersByRow, tensorsToPredictions } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Answered, InferRequest, WireAnswer } from './protocol.ts';
import { weightedNames } from './weighted-names.ts';

type Write = (request: InferRequest, outputs: readonly Tensor[], answered: Answered) => string | WireAnswer;

/** By media type; the usual JSON is not among them. */
const FORMS: ReadonlyMap<string, Write> = new Map<string, Write>([
  ['application/x-ndjson', writeNdjson],
  ['application/jsonl', writeNdjson],
  ['text/csv', writeCsv],
  ['application/vnd.apache.arrow.stream', writeArrow],
]);
const JSON_FORMS: ReadonlySet<string> = new Set(['application/json', 'application/*', '*/*']);

/** Most calls of a listener send the same header. */
let lastAccept = '*/*';
let lastForm: string | undefined;

/** @returns undefined for JSON, which also answers who asks for nothing that is made here */
export function answerFormOf(accept: string | readonly string[] | undefined): string | undefined {
  if (accept === undefined) return undefined;
  if (accept === lastAccept) return lastForm;
  if (typeof accept !== 'string') return undefined;
  lastForm = preferredForm(accept);
  lastAccept = accept;
  return lastForm;
}

function preferredForm(accept: string): string | undefined {
  let best: string | undefined;
  let bestWeight = 0;
  for (const { name, weight } of weightedNames(accept)) {
    const isKnown = FORMS.has(name) || JSON_FORMS.has(name);
    if (!isKnown || weight <= bestWeight) continue;
    best = name;
    bestWeight = weight;
  }
  return best !== undefined && FORMS.has(best) ? best : undefined;
}

export function writePredictions(
  request: InferRequest,
  outputs: readonly Tensor[],
  answered: Answered,
): string | WireAnswer {
  const form = request.form as string | undefined;
  return form === undefined ? writeDocument(request, outputs, answered) : FORMS.get(form)!(request, outputs, answered);
}

function writeDocument(request: InferRequest, outputs: readonly Tensor[], answered: Answered): string {
  const predictions = tensorsToPredictions(answered.signature, outputs, request.rows);
  let text = `{"endpoint":"${answered.endpoint}","version":${answered.version},"predictions":[`;
  for (let row = 0; row < predictions.length; row++) {
    text += `${row === 0 ? '' : ','}${predictionText(predictions[row]!, answered, row)}`;
  }
  return `${text}]}`;
}

function writeNdjson(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const predictions = tensorsToPredictions(answered.signature, outputs, request.rows);
  let body = '';
  for (let row = 0; row < predictions.length; row++) body += `${predictionText(predictions[row]!, answered, row)}\n`;
  return { contentType: 'application/x-ndjson', body };
}

function predictionText(prediction: Record<string, unknown>, answered: Answered, row: number): string {
  const rest = writeJson(withoutId(prediction)).slice(1);
  return `{"id":"${answered.predictionId}.${row}"${rest === '}' ? '' : ','}${rest}`;
}

/** An output that is itself called `id` must not hide the prediction's own. */
function withoutId(prediction: Record<string, unknown>): Record<string, unknown> {
  const { id: outputId, ...values } = prediction;
  return outputId === undefined ? values : { ...values, id_output: outputId };
}

/** One column `id`, then the outputs: by class or by place where they have several values. Lines end with CRLF, as RFC 4180 has it. */
function writeCsv(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const predictions = tensorsToPredictions(answered.signature, outputs, request.rows);
  let body = '';
  for (let row = 0; row < predictions.length; row++) {
    const id = `${answered.predictionId}.${row}`;
    const flat = flatRow({ id, ...withoutId(predictions[row]!) }, { vectors: true, toJson: writeJson });
    // Outputs are tensors: every row has the same columns.
    if (row === 0) body += `${Object.keys(flat).map(csvField).join(',')}\r\n`;
    body += `${Object.values(flat).map(csvField).join(',')}\r\n`;
  }
  return { contentType: 'text/csv; charset=utf-8; header=present', body };
}

/**
 * A column `id`, then one a value or class as in CSV, except that an output of several values without labels is one column of lists.
 * One prediction of whole outputs is one row.
 */
function writeArrow(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const isByRow = answersByRow(answered.signature, outputs, request.rows);
  const rows = isByRow ? request.rows : 1;
  const ids = Array.from({ length: rows }, (_, row) => `${answered.predictionId}.${row}`);
  const columns: ArrowColumn[] = [{ name: 'id', datatype: 'BYTES', dims: [], data: ids }];
  for (const output of outputs) {
    const { labels } = answered.signature.outputs.find((spec) => spec.name === output.name)!;
    const name = output.name === 'id' ? 'id_output' : output.name;
    const { datatype, data } = output;
    const dims = isByRow ? output.shape.slice(1) : output.shape;
    const width = data.length / rows;
    if (isByRow && dims.length === 1 && labels?.length === width) {
      for (const [at, label] of labels.entries()) {
        columns.push({ name: `${name}.${label}`, datatype, dims: [], data: everyNth(data, at, width) });
      }
    } else columns.push({ name, datatype, dims: isByRow && width === 1 && dims.length === 1 ? [] : dims, data });
  }
  return { contentType: 'application/vnd.apache.arrow.stream', body: writeArrowStream(rows, columns) };
}

function everyNth(data: Tensor['data'], first: number, step: number): Tensor['data'] {
  const isWanted = (_: unknown, at: number): boolean => at % step === first;
  return (data as readonly string[]).filter(isWanted) as Tensor['data'];
}
