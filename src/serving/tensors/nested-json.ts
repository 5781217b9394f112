/** Tensors as nested JSON arrays, as systems that think in numpy arrays answer them: a row keeps all its brackets, also around one value. */
import type { Signature } from '../../registry/signature.ts';
import { elementsToJson } from './json-elements.ts';
import { answersByRow } from './plain-predictions.ts';
import type { Tensor } from './tensor.ts';

/** Whether `NaN` and `Infinity` stand as bare words, which is no JSON but what Python writes and reads, or as strings. */
export type NonFinite = 'bare' | 'quoted';

const QUOTED = /"(NaN|-?Infinity)"/g;

/** A whole tensor; a scalar as its bare value. */
export function nestedToJson(tensor: Tensor, nonFinite: NonFinite = 'quoted'): string {
  const { shape } = tensor;
  if (shape.length === 0) return elementTexts(tensor, nonFinite)[0]!;
  if (shape.length === 1) return `[${flatText(tensor, nonFinite)}]`;
  return `[${rowTexts(tensor, nonFinite).join(',')}]`;
}

/**
 * Outputs as a list of predictions, one a row: bare values of the output where there is one, objects by name where there are several.
 * Outputs of models that do not answer by row are one prediction.
 */
export function predictionsToJson(
  signature: Signature,
  outputs: readonly Tensor[],
  rows: number,
  nonFinite: NonFinite = 'quoted',
): string {
  if (!answersByRow(signature, outputs, rows)) return `[${columnsToJson(outputs, nonFinite)}]`;
  const [only] = outputs;
  if (outputs.length === 1) return nestedToJson(only!, nonFinite);
  const names = outputs.map(({ name }) => JSON.stringify(name));
  const texts = outputs.map((output) => rowTexts(output, nonFinite));
  let text = '[';
  for (let row = 0; row < rows; row++) {
    text += row === 0 ? '{' : ',{';
    for (let at = 0; at < names.length; at++) text += `${at === 0 ? '' : ','}${names[at]}:${texts[at]![row]}`;
    text += '}';
  }
  return `${text}]`;
}

/** Whole outputs: the only one without its name, several as an object. */
export function columnsToJson(outputs: readonly Tensor[], nonFinite: NonFinite = 'quoted'): string {
  if (outputs.length === 1) return nestedToJson(outputs[0]!, nonFinite);
  return `{${outputs.map((output) => `${JSON.stringify(output.name)}:${nestedToJson(output, nonFinite)}`).join(',')}}`;
}

/** Each item along the first dimension. */
export function rowTexts(tensor: Tensor, nonFinite: NonFinite = 'quoted'): string[] {
  let texts: string[] = elementTexts(tensor, nonFinite);
  const { shape } = tensor;
  for (let axis = shape.length - 1; axis >= 1; axis--) texts = inGroups(texts, shape[axis]!);
  return texts;
}

function inGroups(texts: readonly string[], size: number): string[] {
  const groups = new Array<string>(texts.length / size);
  for (let at = 0, group = 0; at < texts.length; group++) {
    let text = `[${texts[at++]}`;
    for (let i = 1; i < size; i++) text += `,${texts[at++]}`;
    groups[group] = `${text}]`;
  }
  return groups;
}

function elementTexts(tensor: Tensor, nonFinite: NonFinite): string[] {
  if (tensor.datatype === 'BYTES') return (tensor.data as readonly string[]).map((text) => JSON.stringify(text));
  // Numbers hold no commas.
  return tensor.data.length === 0 ? [] : flatText(tensor, nonFinite).split(',');
}

function flatText(tensor: Tensor, nonFinite: NonFinite): string {
  const text = elementsToJson(tensor);
  return nonFinite === 'quoted' || tensor.datatype === 'BYTES' ? text : text.replace(QUOTED, '$1');
}
