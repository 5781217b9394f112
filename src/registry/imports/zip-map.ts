import { GRAPH, ML_DOMAIN, MODEL, NODE, OPSET, TENSOR_TYPE, TYPE, VALUE_INFO } from './onnx-types.ts';
import { bytesSource, createProtobufCursor, type Field, type ProtobufCursor } from './protobuf-cursor.ts';

/**
 * Replaces ZipMap nodes whose sequence of maps is an output of the model, so that the output of the same name is the tensor of
 * scores that went into the ZipMap: FP32, one column per class. onnxruntime-node cannot return sequences or maps. Done on the bytes in
 * memory, before a session is made; the stored file never changes. The class labels are in the version's signature.
 *
 * A ZipMap node becomes an Identity node from its input to its output, and the output is declared as a tensor. Bytes without such a node
 * come back as they are.
 * @throws ProtobufFault when the bytes are not a whole ONNX model
 */
export function rewriteZipMaps(bytes: Uint8Array): Uint8Array {
  const cursor = createProtobufCursor(bytesSource(bytes));
  const top = fieldsOf(cursor, { start: 0, end: bytes.length });
  const graph = top.find((field) => field.number === MODEL.graph && field.wire === 2);
  if (!graph) return bytes;
  const parts = fieldsOf(cursor, graph);
  const zipMaps = findZipMaps(cursor, parts);
  if (zipMaps.size === 0) return bytes;

  const graphPieces: Uint8Array[] = [];
  const outputs = new Set([...zipMaps.values()].map((zipMap) => zipMap.output));
  let copied = graph.start;
  for (const field of parts) {
    const zipMap = zipMaps.get(field.start);
    const isOutput = field.number === GRAPH.output && outputs.has(nameOf(cursor, field));
    if (!zipMap && !isOutput) continue;
    const headerStart = startOfHeader(parts, field, graph.start);
    graphPieces.push(bytes.subarray(copied, headerStart));
    graphPieces.push(
      zipMap
        ? wrap(GRAPH.node, identityNode(zipMap.input, zipMap.output))
        : wrap(GRAPH.output, floatTensorInfo(nameOf(cursor, field))),
    );
    copied = field.end;
  }
  graphPieces.push(bytes.subarray(copied, graph.end));

  const opset = importsDefaultDomain(cursor, top)
    ? []
    : [wrap(MODEL.opsetImport, varintField(OPSET.version, IDENTITY_OPSET))];
  return concat([
    bytes.subarray(0, startOfHeader(top, graph, 0)),
    wrap(MODEL.graph, concat(graphPieces)),
    ...opset,
    bytes.subarray(graph.end),
  ]);
}

/** For models that import only ai.onnx.ml. Old enough for every runtime, and Identity has not changed for tensors since. */
const IDENTITY_OPSET = 13;
const FLOAT = 1;

type Span = { readonly start: number; readonly end: number };
type FoundZipMap = { readonly input: string; readonly output: string };

/** By where the node's payload starts. The same rule as in onnx-reader.ts: an output of the model that no other node reads. */
function findZipMaps(cursor: ProtobufCursor, parts: readonly Field[]): Map<number, FoundZipMap> {
  const sequences = new Set<string>();
  for (const field of parts) {
    if (field.number !== GRAPH.output || field.wire !== 2) continue;
    const type = fieldsOf(cursor, field).find((part) => part.number === VALUE_INFO.type && part.wire === 2);
    if (type && fieldsOf(cursor, type).some((part) => part.number === TYPE.sequence))
      sequences.add(nameOf(cursor, field));
  }
  const found = new Map<number, FoundZipMap>();
  const consumed = new Set<string>();
  if (sequences.size === 0) return found;
  for (const field of parts) {
    if (field.number !== GRAPH.node || field.wire !== 2) continue;
    let input = '';
    let output = '';
    let opType = '';
    let domain = '';
    for (const part of fieldsOf(cursor, field, ATTRIBUTE_BEARING)) {
      if (part.wire !== 2) continue;
      if (part.number === NODE.input) {
        const name = cursor.text(part);
        input ||= name;
        consumed.add(name);
      } else if (part.number === NODE.output) output ||= cursor.text(part);
      else if (part.number === NODE.opType) opType = cursor.text(part);
      else if (part.number === NODE.domain) domain = cursor.text(part);
    }
    if (opType === 'ZipMap' && domain === ML_DOMAIN && sequences.has(output)) found.set(field.start, { input, output });
  }
  for (const [start, zipMap] of found) if (consumed.has(zipMap.output)) found.delete(start);
  return found;
}

const ATTRIBUTE_BEARING = new Set<number>([NODE.attribute]);

function fieldsOf(cursor: ProtobufCursor, span: Span, leaveOut?: ReadonlySet<number>): Field[] {
  const fields: Field[] = [];
  cursor.enter(span);
  for (let field = cursor.next(span.end); field; field = cursor.next(span.end)) {
    if (!leaveOut?.has(field.number)) fields.push(field);
    cursor.skip(field);
  }
  return fields;
}

function nameOf(cursor: ProtobufCursor, valueInfo: Field): string {
  const name = fieldsOf(cursor, valueInfo).find((part) => part.number === VALUE_INFO.name && part.wire === 2);
  return name ? cursor.text(name) : '';
}

/** A field's header starts where the field before it ends. */
function startOfHeader(fields: readonly Field[], field: Field, first: number): number {
  const at = fields.indexOf(field);
  return at === 0 ? first : fields[at - 1]!.end;
}

function importsDefaultDomain(cursor: ProtobufCursor, top: readonly Field[]): boolean {
  return top.some((field) => {
    if (field.number !== MODEL.opsetImport || field.wire !== 2) return false;
    const domain = fieldsOf(cursor, field).find((part) => part.number === OPSET.domain && part.wire === 2);
    const name = domain ? cursor.text(domain) : '';
    return name === '' || name === 'ai.onnx';
  });
}

function identityNode(input: string, output: string): Uint8Array {
  return concat([textField(NODE.input, input), textField(NODE.output, output), textField(NODE.opType, 'Identity')]);
}

/** No shape: the runtime infers it, and a wrong one would be an error. */
function floatTensorInfo(name: string): Uint8Array {
  const type = wrap(TYPE.tensor, varintField(TENSOR_TYPE.elemType, FLOAT));
  return concat([textField(VALUE_INFO.name, name), wrap(VALUE_INFO.type, type)]);
}

function textField(number: number, value: string): Uint8Array {
  return wrap(number, new TextEncoder().encode(value));
}

function varintField(number: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(number * 8), ...varint(value)]);
}

function wrap(number: number, payload: Uint8Array): Uint8Array {
  return concat([Uint8Array.from([...varint(number * 8 + 2), ...varint(payload.length)]), payload]);
}

function varint(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...out, rest];
    out.push((rest % 128) + 128);
  }
}

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}
