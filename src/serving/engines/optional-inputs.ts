import { GRAPH, MODEL, TENSOR } from '../../registry/imports/onnx-types.ts';
import {
  bytesSource,
  createProtobufCursor,
  type Field,
  fieldsIn,
  type ProtobufCursor,
} from '../../registry/imports/protobuf-cursor.ts';

/**
 * The same model with the defaults of these inputs taken out, so that they must be given. ONNX Runtime can override a default, but its Node
 * binding lists only inputs without one and passes over a value for any other without a word.
 * @throws ProtobufFault when the bytes are not a whole ONNX model
 */
export function withoutDefaults(bytes: Uint8Array, names: readonly string[]): Uint8Array {
  const cursor = createProtobufCursor(bytesSource(bytes));
  const top = fieldsIn(cursor, { start: 0, end: bytes.length });
  const at = top.findIndex(({ number, wire }) => number === MODEL.graph && wire === 2);
  const graph = top[at];
  if (graph === undefined) return bytes;
  // A field's header starts where the field before it ends.
  const headerStart = at === 0 ? 0 : top[at - 1]!.end;
  const kept: Uint8Array[] = [];
  let from = graph.start;
  let before = graph.start;
  for (const field of fieldsIn(cursor, graph)) {
    if (field.number === GRAPH.initializer && field.wire === 2 && names.includes(tensorName(cursor, field))) {
      kept.push(bytes.subarray(from, before));
      from = field.end;
    }
    before = field.end;
  }
  kept.push(bytes.subarray(from, graph.end));
  const size = kept.reduce((sum, piece) => sum + piece.length, 0);
  const header = Uint8Array.from([MODEL.graph * 8 + 2, ...varint(size)]);
  return Buffer.concat([bytes.subarray(0, headerStart), header, ...kept, bytes.subarray(graph.end)]);
}

function tensorName(cursor: ProtobufCursor, tensor: Field): string {
  const name = fieldsIn(cursor, tensor).find(({ number, wire }) => number === TENSOR.name && wire === 2);
  return name === undefined ? '' : cursor.text(name);
}

function varint(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...out, rest];
    out.push((rest % 128) + 128);
  }
}
