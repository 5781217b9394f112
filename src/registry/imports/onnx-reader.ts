import { byteCount, integer, message, readEntry, readMetadata, readOpset, text } from './onnx-messages.ts';
import {
  ATTRIBUTE,
  type ExternalFile,
  FUNCTION,
  GRAPH,
  ML_DOMAIN,
  MODEL,
  NODE,
  type OnnxModel,
  type OnnxValue,
  SPARSE_TENSOR,
  TENSOR,
  type ZipMap,
} from './onnx-types.ts';
import { readValueInfo } from './onnx-value-info.ts';
import { type ByteSource, createProtobufCursor, type Field, type ProtobufCursor } from './protobuf-cursor.ts';

/** Graphs inside graphs (If, Loop, Scan): real models have two or three levels. */
const MAX_GRAPH_DEPTH = 32;
const MAX_VALUES = 4096;
const MAX_EXTERNAL_FILES = 4096;
const MAX_ATTRIBUTES = 4096;
/** Characters of all names and labels that are remembered; what a hostile file can cost in memory. */
const MAX_KEPT = 16 * 1024 * 1024;
const MAX_OP_TYPES = 4096;
const MAX_LABELS = 100_000;
/** How long the walk may hold the event loop before others get their turn. */
const TURN_MS = 10;

/**
 * Reads what Slipway needs of a model. Twice over the graph, because protobuf writes initializers before the inputs that tell which
 * of them matter: the first walk takes inputs and outputs, the second everything else. Memory does not grow with the file.
 * @throws ProtobufFault when the bytes are not a model, or not a whole one
 */
export async function readOnnxModel(source: ByteSource): Promise<OnnxModel> {
  const cursor = createProtobufCursor(source);
  const opsets: { domain: string; version: number }[] = [];
  const metadata = new Map<string, string>();
  const pace = createPace();
  const functions: Field[] = [];
  let irVersion = 0;
  let producer = '';
  let producerVersion = '';
  let graph: Field | null = null;
  for (let field = cursor.next(source.sizeBytes); field; field = cursor.next(source.sizeBytes)) {
    if (field.number === MODEL.irVersion) irVersion = integer(cursor, field);
    else if (field.number === MODEL.producerName) producer = text(cursor, field);
    else if (field.number === MODEL.producerVersion) producerVersion = text(cursor, field);
    else if (field.number === MODEL.opsetImport) opsets.push(readOpset(cursor, field));
    else if (field.number === MODEL.metadata) readMetadata(cursor, field, metadata);
    else if (field.number === MODEL.functions) functions.push(message(cursor, field));
    else if (field.number === MODEL.graph) {
      if (graph) throw cursor.fault('it has two graphs');
      graph = message(cursor, field);
    }
    if (opsets.length + functions.length > MAX_OP_TYPES) throw cursor.fault('it has too many parts');
    cursor.skip(field);
    if (pace.isDue()) await pace.turn();
  }
  if (!graph) throw cursor.fault('it has no graph');
  if (irVersion === 0 && opsets.length === 0) throw cursor.fault('it names neither an IR version nor an operator set');

  const { inputs, outputs } = await readInterface(cursor, graph, pace);
  const walk = createWalk({ cursor, inputs, outputs, pace });
  await walk.graph(graph, 0);
  for (const field of functions) await walk.nodesOf(field, FUNCTION.node);
  return {
    irVersion,
    producer: [producer, producerVersion].filter((part) => part !== '').join(' '),
    opsets: opsets.length === 0 ? [{ domain: '', version: 1 }] : opsets,
    metadata,
    inputs,
    outputs,
    ...walk.result(),
  };
}

async function readInterface(
  cursor: ProtobufCursor,
  graph: Field,
  pace: Pace,
): Promise<{ inputs: OnnxValue[]; outputs: OnnxValue[] }> {
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  cursor.enter(graph);
  for (let field = cursor.next(graph.end); field; field = cursor.next(graph.end)) {
    if (field.number === GRAPH.input) inputs.push(readValueInfo(cursor, message(cursor, field)));
    else if (field.number === GRAPH.output) outputs.push(readValueInfo(cursor, message(cursor, field)));
    if (inputs.length + outputs.length > MAX_VALUES)
      throw cursor.fault(`it has more than ${MAX_VALUES} inputs and outputs`);
    cursor.skip(field);
    if (pace.isDue()) await pace.turn();
  }
  for (const [what, values] of [
    ['input', inputs],
    ['output', outputs],
  ] as const) {
    const names = new Set<string>();
    for (const { name } of values) {
      if (name === '') throw cursor.fault(`an ${what} has no name`);
      // No JSON document could name it: the key is refused everywhere (see base/json.ts).
      if (name === '__proto__')
        throw cursor.fault(`an ${what} is called __proto__, which no request can name; rename it`);
      if (names.has(name)) throw cursor.fault(`two ${what}s have the name ${JSON.stringify(name)}`);
      names.add(name);
    }
  }
  return { inputs, outputs };
}

/** Asked at every field: whether it is time to give the event loop its turn, and how. */
type Pace = { isDue(): boolean; turn(): Promise<void> };

function createPace(): Pace {
  let asked = 0;
  let turnStarted = performance.now();
  return {
    isDue: () => (++asked & 0xff) === 0 && performance.now() - turnStarted >= TURN_MS,
    turn: () =>
      new Promise((resume) =>
        setImmediate(() => {
          turnStarted = performance.now();
          resume();
        }),
      ),
  };
}

type WalkDeps = {
  readonly cursor: ProtobufCursor;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly pace: Pace;
};

function createWalk({ cursor, inputs, outputs, pace }: WalkDeps) {
  const inputNames = new Set(inputs.map((input) => input.name));
  const sequences = new Set(outputs.filter((output) => output.type.kind === 'sequence').map((output) => output.name));
  const defaulted = new Set<string>();
  const external = new Map<string, ExternalFile>();
  const ops = new Map<string, number>();
  const zipMaps: ZipMap[] = [];
  const consumed = new Set<string>();
  let nodeCount = 0;
  let initializerBytes = 0;
  let kept = 0;

  const keep = (text: string): string => {
    kept += text.length + 16;
    if (kept > MAX_KEPT) throw cursor.fault('it has more names and labels than any real model');
    return text;
  };

  async function graph(field: Field, depth: number): Promise<void> {
    if (depth > MAX_GRAPH_DEPTH) throw cursor.fault(`its graphs are nested more than ${MAX_GRAPH_DEPTH} deep`);
    cursor.enter(field);
    for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
      if (part.number === GRAPH.node) await node(message(cursor, part), depth);
      else if (part.number === GRAPH.initializer) {
        const name = await tensor(message(cursor, part));
        if (depth === 0 && inputNames.has(name)) defaulted.add(name);
      } else if (part.number === GRAPH.sparseInitializer) {
        const name = await sparseTensor(message(cursor, part));
        if (depth === 0 && inputNames.has(name)) defaulted.add(name);
      }
      cursor.skip(part);
      if (pace.isDue()) await pace.turn();
    }
  }

  async function nodesOf(field: Field, nodeNumber: number): Promise<void> {
    cursor.enter(field);
    for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
      if (part.number === nodeNumber) await node(message(cursor, part), 1);
      cursor.skip(part);
      if (pace.isDue()) await pace.turn();
    }
  }

  async function node(field: Field, depth: number): Promise<void> {
    nodeCount += 1;
    let opType = '';
    let domain = '';
    let input = '';
    let output = '';
    const attributes: Field[] = [];
    cursor.enter(field);
    for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
      if (part.number === NODE.opType) opType = text(cursor, part);
      else if (part.number === NODE.domain) domain = text(cursor, part);
      else if (part.number === NODE.attribute) {
        if (attributes.length >= MAX_ATTRIBUTES)
          throw cursor.fault(`a node has more than ${MAX_ATTRIBUTES} attributes`);
        attributes.push(message(cursor, part));
      } else if (part.number === NODE.input) {
        const name = text(cursor, part);
        input ||= name;
        if (depth === 0 && sequences.has(name)) consumed.add(name);
      } else if (part.number === NODE.output) output ||= text(cursor, part);
      cursor.skip(part);
      if (pace.isDue()) await pace.turn();
    }
    const key = `${domain === '' ? 'ai.onnx' : domain}/${opType}`;
    const count = ops.get(key);
    if (count === undefined && ops.size >= MAX_OP_TYPES) throw cursor.fault('it uses too many kinds of operators');
    ops.set(count === undefined ? keep(key) : key, (count ?? 0) + 1);
    const labels: string[] | null =
      depth === 0 && opType === 'ZipMap' && domain === ML_DOMAIN && sequences.has(output) ? [] : null;
    for (const part of attributes) await attribute(part, depth, labels);
    if (labels) zipMaps.push({ input: keep(input), output: keep(output), labels });
    cursor.skip(field);
  }

  /** Sub-graphs and tensors inside attributes; class labels when asked for. */
  async function attribute(field: Field, depth: number, labels: string[] | null): Promise<void> {
    cursor.enter(field);
    const before = initializerBytes;
    for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
      const { number } = part;
      if (number === ATTRIBUTE.graph || number === ATTRIBUTE.graphs) await graph(message(cursor, part), depth + 1);
      else if (number === ATTRIBUTE.tensor || number === ATTRIBUTE.tensors) await tensor(message(cursor, part));
      else if (number === ATTRIBUTE.sparseTensor || number === ATTRIBUTE.sparseTensors)
        await sparseTensor(message(cursor, part));
      else if (labels && number === ATTRIBUTE.ints) {
        for (const label of cursor.int64s(part)) addLabel(labels, String(label));
      } else if (labels && number === ATTRIBUTE.strings) addLabel(labels, text(cursor, part));
      cursor.skip(part);
      if (pace.isDue()) await pace.turn(); // a forest keeps millions of numbers in one attribute
    }
    if (initializerBytes === before) initializerBytes += attributePayload(field);
  }

  function addLabel(labels: string[], label: string): void {
    if (labels.length >= MAX_LABELS) throw cursor.fault(`it has more than ${MAX_LABELS} class labels`);
    labels.push(keep(label));
  }

  async function tensor(field: Field): Promise<string> {
    let name = '';
    let payload = 0;
    const entries = new Map<string, string>();
    let isExternal = false;
    cursor.enter(field);
    for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
      if (part.number === TENSOR.name) name = text(cursor, part);
      else if (PAYLOADS.has(part.number)) payload += part.end - part.start;
      else if (part.number === TENSOR.dataLocation) isExternal = part.low === 1;
      else if (part.number === TENSOR.externalData) {
        const [key, value] = readEntry(cursor, message(cursor, part));
        entries.set(key, value);
      }
      cursor.skip(part);
      if (pace.isDue()) await pace.turn();
    }
    if (isExternal || entries.size > 0) addExternal(name, entries);
    initializerBytes += payload;
    return name;
  }

  async function sparseTensor(field: Field): Promise<string> {
    let name = '';
    cursor.enter(field);
    for (let part = cursor.next(field.end); part; part = cursor.next(field.end)) {
      if (part.number === SPARSE_TENSOR.values) name = await tensor(message(cursor, part));
      else if (part.number === SPARSE_TENSOR.indices) await tensor(message(cursor, part));
      cursor.skip(part);
    }
    return name;
  }

  function addExternal(name: string, entries: ReadonlyMap<string, string>): void {
    const location = entries.get('location');
    if (location === undefined)
      throw cursor.fault(`the tensor ${JSON.stringify(name)} is stored elsewhere, but it does not say where`);
    const offsetBytes = byteCount(cursor, entries.get('offset')) ?? 0;
    const endBytes = offsetBytes + (byteCount(cursor, entries.get('length')) ?? 0);
    const known = external.get(location);
    if (known && known.endBytes >= endBytes) return;
    if (!known && external.size >= MAX_EXTERNAL_FILES) throw cursor.fault('its weights lie in too many files');
    external.set(location, { location: known ? location : keep(location), endBytes, tensor: name.slice(0, 200) });
  }

  return {
    graph,
    nodesOf,
    result: () => ({
      defaulted,
      external: [...external.values()],
      ops,
      nodeCount,
      initializerBytes,
      zipMaps: zipMaps.filter((one) => !consumed.has(one.output)),
    }),
  };
}

const PAYLOADS = new Set<number>([
  TENSOR.floatData,
  TENSOR.int32Data,
  TENSOR.stringData,
  TENSOR.int64Data,
  TENSOR.rawData,
  TENSOR.doubleData,
  TENSOR.uint64Data,
]);

/** Forests keep their numbers in attributes; names and settings are a few bytes and do not count. */
function attributePayload(field: Field): number {
  const length = field.end - field.start;
  return length > 1024 ? length : 0;
}
