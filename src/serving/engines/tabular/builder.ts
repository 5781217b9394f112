import { InvalidGraph, Uncovered } from './fault.ts';
import type { Attribute, Constant, GraphNode } from './graph.ts';
import { type kindOf, type Numbers, newData, Value } from './value.ts';

/** Computes a number of rows; reads and writes the stores of its values from their start. */
export type Step = (rows: number) => void;

/** How one operator becomes a step. @throws Uncovered, InvalidGraph */
export type Operator = (node: NodeReader, builder: Builder) => void;

export type Builder = ReturnType<typeof createBuilder>;

/** Collects values and steps. */
export function createBuilder() {
  const values = new Map<string, Value>();
  const steps: Step[] = [];
  const unnamed: Value[] = [];
  let costNs = 0;

  const add = (name: string, value: Value): Value => {
    if (name === '') {
      unnamed.push(value);
      return value;
    }
    if (values.has(name)) throw new InvalidGraph(`two nodes give ${name}`);
    values.set(name, value);
    return value;
  };

  return {
    values,
    /** Results that no node can name: steps between steps, and outputs that nobody reads. */
    unnamed,
    steps,
    /** What one row costs, in nanoseconds. */
    costNs: (): number => costNs,
    value(name: string): Value {
      const value = values.get(name);
      if (value === undefined) throw new InvalidGraph(`a node reads ${name}, which no node before it gives`);
      return value;
    },
    constant(constant: Constant): Value {
      const value = new Value(constant.elem, constant.dims, true);
      if (constant.texts !== null) value.store.data = [...constant.texts];
      else (value.store.data as Numbers).set(constant.numbers!);
      return add(constant.name, value);
    },
    make(name: string, elem: number, shape: readonly number[]): Value {
      return add(name, new Value(elem, shape, false));
    },
    /** The same elements under another name and shape. */
    alias(name: string, of: Value, shape: readonly number[] = of.shape): Value {
      return add(name, new Value(of.elem, shape, of.isConstant, of.store));
    },
    step(costOfRowNs: number, run: Step): void {
      costNs += costOfRowNs;
      steps.push(run);
    },
  };
}

/** Makes room for a number of rows where there is less. */
export function reserve(value: Value, rows: number): void {
  const { store } = value;
  if (!value.isConstant && store.data.length < rows * store.width) store.data = newData(store.kind, rows * store.width);
}

export type NodeReader = ReturnType<typeof createNodeReader>;

/** The inputs and attributes of a node, and which of them were asked for: what nobody asked for is not covered. */
export function createNodeReader(node: GraphNode, builder: Builder, opset: number) {
  const asked = new Set<string>();
  const attribute = (name: string): Attribute | undefined => {
    asked.add(name);
    return node.attributes.get(name);
  };
  const reader = {
    op: node.op,
    /** Version of the operator set that the model imports of this node's domain. */
    opset,
    inputCount: node.inputs.length,
    outputs: node.outputs,
    has: (at: number): boolean => (node.inputs[at] ?? '') !== '',
    input(at: number): Value {
      const name = node.inputs[at] ?? '';
      if (name === '') throw new InvalidGraph(`the node ${node.op} lacks its input ${at}`);
      return builder.value(name);
    },
    output: (at: number): string => node.outputs[at] ?? '',
    /** An input that must be constant, as numbers. */
    constantNumbers(at: number): readonly number[] {
      const value = reader.input(at);
      if (!value.isConstant || value.kind === 'text')
        throw new Uncovered(`the input ${at} of ${node.op} is not constant`);
      return [...value.numbers];
    },
    int: (name: string, fallback: number): number => attribute(name)?.i ?? fallback,
    float: (name: string, fallback: number): number => attribute(name)?.f ?? fallback,
    text: (name: string, fallback: string): string => attribute(name)?.s ?? fallback,
    ints: (name: string): Float64Array => attribute(name)?.ints ?? new Float64Array(0),
    floats: (name: string): Float64Array => attribute(name)?.floats ?? new Float64Array(0),
    strings: (name: string): readonly string[] => attribute(name)?.strings ?? [],
    tensor: (name: string): Constant | null => attribute(name)?.tensor ?? null,
    isSet(name: string): boolean {
      return attribute(name) !== undefined;
    },
    /** @throws Uncovered when an attribute was not looked at: it would change the answer in a way unknown here */
    finish(): void {
      for (const name of node.attributes.keys()) {
        if (!asked.has(name)) throw new Uncovered(`the attribute ${name} of ${node.op} is not covered`);
      }
    },
  };
  return reader;
}

/** @throws Uncovered unless the value is of one of these kinds */
export function needKind(node: NodeReader, value: Value, ...kinds: readonly ReturnType<typeof kindOf>[]): void {
  if (!kinds.includes(value.kind))
    throw new Uncovered(`${node.op} of ${value.kind === 'text' ? 'texts' : `type ${value.elem}`} is not covered`);
}
