/** Models for the benchmark of engines, written as ONNX by hand: any size without a trainer. */
import { randomNumbers } from '../src/base/random-numbers.ts';

export type ForestShape = {
  readonly trees: number;
  readonly depth: number;
  /** Share of nodes, from the third level on, that are leaves before the depth is reached. */
  readonly leafShare: number;
  readonly columns: number;
  readonly seed: number;
};

/** Regression trees with random columns and thresholds that halve the range they decide in, so that all paths are taken. */
export function forestModel({ trees, depth, leafShare, columns, seed }: ForestShape): Uint8Array {
  const random = randomNumbers(seed);
  const ids = {
    trees: [] as number[],
    nodes: [] as number[],
    columns: [] as number[],
    whenTrue: [] as number[],
    whenFalse: [] as number[],
  };
  const values: number[] = [];
  const modes: string[] = [];
  const leaves = { trees: [] as number[], nodes: [] as number[], weights: [] as number[] };
  for (let tree = 0; tree < trees; tree++) {
    // In the order of depth, as exporters do.
    let next = 0;
    const add = (level: number): number => {
      const id = next++;
      const at = modes.length;
      const isLeaf = level === depth || (level > 2 && random() < leafShare);
      ids.trees.push(tree);
      ids.nodes.push(id);
      ids.columns.push(isLeaf ? 0 : Math.floor(random() * columns));
      values.push(isLeaf ? 0 : random() * 7 - 3.5);
      modes.push(isLeaf ? 'LEAF' : 'BRANCH_LEQ');
      ids.whenTrue.push(0);
      ids.whenFalse.push(0);
      if (isLeaf) {
        leaves.trees.push(tree);
        leaves.nodes.push(id);
        leaves.weights.push(random() - 0.5);
      } else {
        ids.whenTrue[at] = add(level + 1);
        ids.whenFalse[at] = add(level + 1);
      }
      return id;
    };
    add(0);
  }
  const node = nodeOf(
    'TreeEnsembleRegressor',
    'ai.onnx.ml',
    ['X'],
    ['Y'],
    [
      intAttribute('n_targets', 1),
      intsAttribute('nodes_treeids', ids.trees),
      intsAttribute('nodes_nodeids', ids.nodes),
      intsAttribute('nodes_featureids', ids.columns),
      intsAttribute('nodes_truenodeids', ids.whenTrue),
      intsAttribute('nodes_falsenodeids', ids.whenFalse),
      floatsAttribute('nodes_values', values),
      stringsAttribute('nodes_modes', modes),
      intsAttribute('target_treeids', leaves.trees),
      intsAttribute('target_nodeids', leaves.nodes),
      intsAttribute(
        'target_ids',
        leaves.nodes.map(() => 0),
      ),
      floatsAttribute('target_weights', leaves.weights),
    ],
  );
  return modelOf([node], [], columns, 1);
}

export function linearModel(columns: number): Uint8Array {
  const random = randomNumbers(columns);
  const weights = Array.from({ length: columns }, () => random() - 0.5);
  const node = nodeOf(
    'LinearRegressor',
    'ai.onnx.ml',
    ['X'],
    ['Y'],
    [intAttribute('targets', 1), floatsAttribute('coefficients', weights), floatsAttribute('intercepts', [0.5])],
  );
  return modelOf([node], [], columns, 1);
}

/** Layers of these widths, with Relu between them. */
export function denseModel(widths: readonly number[]): Uint8Array {
  const random = randomNumbers(widths.length);
  const nodes: Uint8Array[] = [];
  const constants: Uint8Array[] = [];
  const last = widths.length - 2;
  for (let layer = 0; layer <= last; layer++) {
    const [from, to] = [widths[layer]!, widths[layer + 1]!];
    constants.push(
      tensorOf(
        `W${layer}`,
        [from, to],
        Array.from({ length: from * to }, () => (random() - 0.5) / Math.sqrt(from)),
      ),
    );
    const input = layer === 0 ? 'X' : `R${layer - 1}`;
    nodes.push(nodeOf('MatMul', '', [input, `W${layer}`], [layer === last ? 'Y' : `M${layer}`], []));
    if (layer < last) nodes.push(nodeOf('Relu', '', [`M${layer}`], [`R${layer}`], []));
  }
  return modelOf(nodes, constants, widths[0]!, widths.at(-1)!);
}

function modelOf(
  nodes: readonly Uint8Array[],
  constants: readonly Uint8Array[],
  columns: number,
  targets: number,
): Uint8Array {
  const graph = join([
    ...nodes.map((node) => wrap(1, node)),
    wrap(2, bytesOf('bench')),
    ...constants.map((constant) => wrap(5, constant)),
    wrap(11, valueInfo('X', columns)),
    wrap(12, valueInfo('Y', targets)),
  ]);
  const opset = (domain: string, version: number): Uint8Array =>
    wrap(8, join([wrap(1, bytesOf(domain)), number(2, version)]));
  return join([number(1, 8), wrap(7, graph), opset('', 17), opset('ai.onnx.ml', 3)]);
}

function valueInfo(name: string, columns: number): Uint8Array {
  const shape = join([wrap(1, wrap(2, bytesOf('N'))), wrap(1, number(1, columns))]);
  const tensor = join([number(1, 1), wrap(2, shape)]);
  return join([wrap(1, bytesOf(name)), wrap(2, wrap(1, tensor))]);
}

function nodeOf(
  op: string,
  domain: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Uint8Array[],
): Uint8Array {
  return join([
    ...inputs.map((name) => wrap(1, bytesOf(name))),
    ...outputs.map((name) => wrap(2, bytesOf(name))),
    wrap(4, bytesOf(op)),
    ...attributes.map((attribute) => wrap(5, attribute)),
    wrap(7, bytesOf(domain)),
  ]);
}

function tensorOf(name: string, dims: readonly number[], values: readonly number[]): Uint8Array {
  const raw = new Uint8Array(Float32Array.from(values).buffer);
  return join([...dims.map((size) => number(1, size)), number(2, 1), wrap(8, bytesOf(name)), wrap(9, raw)]);
}

const intAttribute = (name: string, value: number): Uint8Array =>
  join([wrap(1, bytesOf(name)), number(3, value), number(20, 2)]);
const intsAttribute = (name: string, values: readonly number[]): Uint8Array =>
  join([wrap(1, bytesOf(name)), wrap(8, Uint8Array.from(values.flatMap(varint))), number(20, 7)]);
const floatsAttribute = (name: string, values: readonly number[]): Uint8Array =>
  join([wrap(1, bytesOf(name)), wrap(7, new Uint8Array(Float32Array.from(values).buffer)), number(20, 6)]);
const stringsAttribute = (name: string, values: readonly string[]): Uint8Array =>
  join([wrap(1, bytesOf(name)), ...values.map((value) => wrap(9, bytesOf(value))), number(20, 8)]);

function number(field: number, value: number): Uint8Array {
  return Uint8Array.from([...varint(field * 8), ...varint(value)]);
}

function wrap(field: number, payload: Uint8Array): Uint8Array {
  return join([Uint8Array.from([...varint(field * 8 + 2), ...varint(payload.length)]), payload]);
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function varint(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...out, rest];
    out.push((rest % 128) + 128);
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
