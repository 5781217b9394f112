/** ModelInferResponse, the hot message: its size is known before it is written, so it is written once, behind its gRPC prefix. */
import { rawSize, writeRaw } from '../tensors/raw-elements.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { PREFIX_BYTES, sealMessage } from './message-frame.ts';

export type InferAnswer = {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  /** In the order of the answer. */
  readonly outputs: readonly Tensor[];
};

/**
 * @param inStream whether it is to be the `infer_response` of a ModelStreamInferResponse
 * @returns the whole message, prefix included
 */
export function writeInferResponse(answer: InferAnswer, inStream: boolean): Buffer {
  const { modelName, modelVersion, id, outputs } = answer;
  const nameBytes = Buffer.byteLength(modelName);
  const idBytes = id === '' ? 0 : Buffer.byteLength(id);
  let size = fieldSize(nameBytes) + fieldSize(modelVersion.length) + (id === '' ? 0 : fieldSize(idBytes));
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i]!;
    size += fieldSize(describedSize(output)) + fieldSize(rawSize(output));
  }
  const outer = inStream ? fieldSize(size) - size : 0;
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + outer + size);
  let at = PREFIX_BYTES;
  if (inStream) at = writeFieldHead(bytes, at, 2, size);
  at = writeText(bytes, at, 1, modelName, nameBytes);
  at = writeText(bytes, at, 2, modelVersion, modelVersion.length);
  if (id !== '') at = writeText(bytes, at, 3, id, idBytes);
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i]!;
    at = writeFieldHead(bytes, at, 5, describedSize(output));
    at = writeText(bytes, at, 1, output.name, Buffer.byteLength(output.name));
    at = writeText(bytes, at, 2, output.datatype, output.datatype.length);
    const { shape } = output;
    if (shape.length === 0) continue;
    at = writeFieldHead(bytes, at, 3, shapeSize(shape));
    for (let d = 0; d < shape.length; d++) at = writeVarint(bytes, at, shape[d]!);
  }
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i]!;
    at = writeFieldHead(bytes, at, 6, rawSize(output));
    at = writeRaw(output, bytes, at);
  }
  return sealMessage(bytes);
}

function describedSize({ name, datatype, shape }: Tensor): number {
  const described = fieldSize(Buffer.byteLength(name)) + fieldSize(datatype.length);
  return shape.length === 0 ? described : described + fieldSize(shapeSize(shape));
}

function shapeSize(shape: readonly number[]): number {
  let size = 0;
  for (let d = 0; d < shape.length; d++) size += varintSize(shape[d]!);
  return size;
}

/** A field with a length, whose number is below 16. */
function fieldSize(length: number): number {
  return 1 + varintSize(length) + length;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

function writeFieldHead(bytes: Buffer, at: number, number: number, length: number): number {
  bytes[at] = number * 8 + 2;
  return writeVarint(bytes, at + 1, length);
}

function writeVarint(bytes: Buffer, at: number, value: number): number {
  let place = at;
  let rest = value;
  while (rest >= 0x80) {
    bytes[place++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[place++] = rest;
  return place;
}

function writeText(bytes: Buffer, start: number, number: number, text: string, length: number): number {
  const at = writeFieldHead(bytes, start, number, length);
  if (length === text.length && length < 32) {
    for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
  } else bytes.write(text, at);
  return at + length;
}
