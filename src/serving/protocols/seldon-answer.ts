/** Answers of Seldon Core v1, in the form of the request. */
import type { Signature } from '../../registry/signature.ts';
import { elementsToJson } from '../tensors/json-elements.ts';
import { writeJson } from '../tensors/json-text.ts';
import { columnsToJson, nestedToJson } from '../tensors/nested-json.ts';
import { answersByRow } from '../tensors/plain-predictions.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { Answered, InferRequest, WireAnswer } from './protocol.ts';
import type { AnswerKind, Form } from './seldon-message.ts';

export function writePredictions(request: InferRequest, outputs: readonly Tensor[], answered: Answered): WireAnswer {
  const { kind, puid, tags } = request.form as Form;
  const { signature, endpoint, version, predictionId } = answered;
  const main = kind === 'jsonData' ? null : mainOf(signature, outputs, request.rows);
  const others = main === null ? [] : outputs.filter((output) => output !== main);
  const id = puid ?? predictionId;
  const allTags = tagsText(tags, others);
  const meta = `{"puid":${JSON.stringify(id)},"tags":${allTags},"requestPath":{"${endpoint}":"slipway:${version}"}}`;
  const payload = main === null ? `"jsonData":${columnsToJson(outputs)}` : payloadText(kind, main, signature);
  return {
    contentType: 'application/json',
    headers: ['Seldon-Puid', headerText(id)],
    body: `{${payload},"meta":${meta}}`,
  };
}

/** A message has room for one array: the only output, or the only one that is a table of numbers by row, such as the scores of a classifier. */
function mainOf(signature: Signature, outputs: readonly Tensor[], rows: number): Tensor | null {
  if (outputs.length === 1) return outputs[0]!;
  if (!answersByRow(signature, outputs, rows)) return null;
  const tables = outputs.filter(({ datatype, shape }) => shape.length === 2 && /^(FP|BF)/.test(datatype));
  return tables.length === 1 ? tables[0]! : null;
}

/** What of the outputs is not the message's array is told among the tags, under its name. */
function tagsText(tags: Readonly<Record<string, unknown>>, others: readonly Tensor[]): string {
  const texts = Object.entries(tags)
    .filter(([name]) => !others.some((output) => output.name === name))
    .map(([name, value]) => `${JSON.stringify(name)}:${writeJson(value)}`);
  for (const output of others) texts.push(`${JSON.stringify(output.name)}:${nestedToJson(output)}`);
  return `{${texts.join(',')}}`;
}

function payloadText(kind: AnswerKind, output: Tensor, signature: Signature): string {
  if (kind === 'strData' && output.datatype === 'BYTES' && output.data.length === 1) {
    return `"strData":${JSON.stringify((output.data as readonly string[])[0])}`;
  }
  const names = JSON.stringify(namesOf(output, signature));
  if (kind === 'tensor' && output.datatype !== 'BYTES') {
    return `"data":{"names":${names},"tensor":{"shape":[${output.shape.join(',')}],"values":[${elementsToJson(output)}]}}`;
  }
  return `"data":{"names":${names},"ndarray":${nestedToJson(output)}}`;
}

/** Names of columns: the classes where the model names them, else as Seldon names what has none. */
function namesOf({ name, shape }: Tensor, { outputs }: Signature): readonly string[] {
  if (shape.length < 2) return [];
  const width = shape[1]!;
  const { labels } = outputs.find((spec) => spec.name === name)!;
  return labels?.length === width ? labels : Array.from({ length: width }, (_, at) => `t:${at}`);
}

/** A caller's id may hold what no header may. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
