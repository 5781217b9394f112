/** How long answers take to write, roughly, in microseconds: what takes long is written in a thread (gateway/large-answers.ts). */
import type { Datatype } from '../../registry/signature.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { InferRequest } from './protocol.ts';

/** An element as JSON, in nanoseconds. */
const ELEMENT_NS: Readonly<Record<Datatype, number>> = {
  BOOL: 30,
  UINT8: 30,
  UINT16: 40,
  UINT32: 50,
  UINT64: 150,
  INT8: 30,
  INT16: 40,
  INT32: 50,
  INT64: 150,
  FP16: 250,
  BF16: 250,
  FP32: 60,
  FP64: 270,
  BYTES: 100,
};
const CHARACTER_NS = 2;
/** Looked at while a row is ranked; and one that is named. */
const VALUE_OF_ROW_NS = 10;
const CLASS_NS = 700;
/** A row of the plain form, with its id and an object of its own, and each value in it. */
const ROW_NS = 3000;
const VALUE_NS = 600;

/** The elements as a JSON array. */
export function elementsUs({ datatype, data }: Tensor): number {
  const ns = data.length * ELEMENT_NS[datatype];
  return (datatype === 'BYTES' ? ns + charactersOf(data as readonly string[]) * CHARACTER_NS : ns) / 1000;
}

/** Ranking goes through all values, and makes a text of each class. @param most classes of a row */
export function classesUs({ shape, data }: Tensor, most: number): number {
  const texts = Math.min(data.length, (shape[0] ?? 1) * most);
  return (data.length * VALUE_OF_ROW_NS + texts * CLASS_NS) / 1000;
}

/** All outputs as JSON arrays. */
export function outputsUs(_request: InferRequest, outputs: readonly Tensor[]): number {
  return outputs.reduce((sum, output) => sum + elementsUs(output), 0);
}

/** All outputs as rows of objects. */
export function predictionsUs({ rows }: InferRequest, outputs: readonly Tensor[]): number {
  const values = outputs.reduce((sum, { data }) => sum + data.length, 0);
  return (rows * ROW_NS + values * VALUE_NS) / 1000 + outputsUs({ rows } as InferRequest, outputs);
}

export function charactersOf(texts: readonly string[]): number {
  let characters = 0;
  for (let i = 0; i < texts.length; i++) characters += texts[i]!.length;
  return characters;
}
