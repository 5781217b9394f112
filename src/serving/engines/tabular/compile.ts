import { ProtobufFault } from '../../../registry/imports/protobuf-cursor.ts';
import type { Signature, TensorSpec } from '../../../registry/signature.ts';
import { compileBooster } from './boosters.ts';
import { createBuilder, createNodeReader, type Operator } from './builder.ts';
import { DENSE, LINEAR } from './dense.ts';
import { ELEMENTWISE } from './elementwise.ts';
import { ENCODING } from './encoding.ts';
import { ENSEMBLES } from './ensembles.ts';
import { InvalidGraph, Uncovered } from './fault.ts';
import { type Graph, type GraphNode, readGraph } from './graph.ts';
import { createPlan, elemOf, type Plan } from './plan.ts';
import { REDUCING } from './reducing.ts';
import { SCALING } from './scaling.ts';
import { ML_SHAPING, SHAPING } from './shaping.ts';
import { ROWS } from './value.ts';

const ML = 'ai.onnx.ml';

/** Operators by `domain/op`. */
const OPERATORS = new Map<string, Operator>([
  ...Object.entries({ ...SHAPING, ...ELEMENTWISE, ...REDUCING, ...DENSE }).map(
    ([op, make]) => [`/${op}`, make] as const,
  ),
  ...Object.entries({ ...ML_SHAPING, ...SCALING, ...ENCODING, ...LINEAR, ...ENSEMBLES }).map(
    ([op, make]) => [`${ML}/${op}`, make] as const,
  ),
]);

/** The newest operator sets whose meaning is known here. */
const NEWEST: Readonly<Record<string, number>> = { '': 24, [ML]: 5 };

/**
 * Compiles a model, whole or not at all.
 * @throws Uncovered, InvalidGraph, ProtobufFault
 */
export function compile(bytes: Uint8Array, signature: Signature): Plan {
  const booster = compileBooster(bytes, signature);
  if (booster !== null) return booster;
  const graph = readGraph(bytes);
  for (const [domain, version] of graph.opsets) {
    const newest = NEWEST[domain];
    if (newest !== undefined && version > newest)
      throw new Uncovered(
        `it is written for operator set ${version} of ${domain || 'ai.onnx'}, and ${newest} is the newest known here`,
      );
  }
  const builder = createBuilder();
  const given = new Set(signature.inputs.map((input) => input.name));
  for (const constant of graph.constants.values()) {
    if (given.has(constant.name)) throw new Uncovered(`its input ${constant.name} has a default`);
    builder.constant(constant);
  }
  for (const input of signature.inputs) builder.make(input.name, elemOf(input), rowShape(input));
  for (const node of neededNodes(graph, signature)) {
    const key = `${node.domain}/${node.op}`;
    if (node.op === 'Constant' && node.domain === '') {
      constantNode(node, builder);
      continue;
    }
    const operator = OPERATORS.get(key);
    if (operator === undefined)
      throw new Uncovered(`the operator ${node.op}${node.domain === '' ? '' : ` of ${node.domain}`} is not covered`);
    const reader = createNodeReader(node, builder, graph.opsets.get(node.domain) ?? 1);
    operator(reader, builder);
    reader.finish();
  }
  for (const output of signature.outputs) {
    if (!builder.values.has(output.name)) throw new InvalidGraph(`no node gives the output ${output.name}`);
  }
  return createPlan(signature, builder);
}

function constantNode(node: GraphNode, builder: ReturnType<typeof createBuilder>): void {
  const value = node.attributes.get('value')?.tensor;
  if (value == null) throw new Uncovered('a Constant that is not a tensor is not covered');
  builder.constant({ ...value, name: node.outputs[0] ?? '' });
}

/** Nodes whose results reach an output: exporters leave others behind, which nobody computes. */
function neededNodes(graph: Graph, signature: Signature): readonly GraphNode[] {
  const needed = new Set(signature.outputs.map((output) => output.name));
  return graph.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((output) => needed.has(output))) return false;
      for (const input of node.inputs) needed.add(input);
      return true;
    })
    .toReversed();
}

/** The shape of an input, its first dimension being the rows. */
function rowShape({ name, shape }: TensorSpec): number[] {
  const [first, ...rest] = shape;
  if (first === undefined) throw new Uncovered(`its input ${name} has no rows`);
  if (first !== -1 && first !== 1) throw new Uncovered(`its input ${name} always has ${first} rows`);
  if (rest.some((size) => !(size > 0))) throw new Uncovered(`its input ${name} has no fixed number of columns`);
  return [ROWS, ...rest];
}

/** Whether something says that this engine does not cover a graph, and what; null when it means something else. */
export function whyNot(error: unknown): { readonly kind: 'uncovered' | 'invalid'; readonly reason: string } | null {
  if (error instanceof Uncovered) return { kind: 'uncovered', reason: error.message };
  if (error instanceof InvalidGraph || error instanceof ProtobufFault)
    return { kind: 'invalid', reason: error.message };
  return null;
}
