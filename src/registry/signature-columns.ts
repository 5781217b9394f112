/**
 * A signature as a table: which columns the rows of its predictions have, and under which name. A column is `input.<name>` or
 * `output.<name>`, one value a row.
 */
import { isRowWise, type Signature, type TensorSpec } from './signature.ts';

export type ColumnKind = 'number' | 'integer' | 'boolean' | 'text' | 'vector';

export type SignatureColumn = {
  /** As SQL, profiles and policies name it, e.g. `input.age` or `output.score`. */
  readonly name: string;
  readonly side: 'input' | 'output';
  readonly tensor: string;
  readonly kind: ColumnKind;
  /** Place of its value in a row of the tensor; 0 for a vector, which is the whole row. */
  readonly at: number;
  readonly optional: boolean;
  /** Whether its numbers have the precision of FP32 at most. */
  readonly isSingle?: boolean;
};

/** Tensors of more elements a row than this become one column, a vector. */
const MAX_COLUMNS_OF_TENSOR = 1000;
/** The same where the elements have no names. */
const MAX_NAMELESS_COLUMNS = 64;
/** Columns of one version; what is beyond is counted only. */
export const MAX_COLUMNS = 2000;

export type SignatureColumns = {
  readonly columns: readonly SignatureColumn[];
  /** Whether a row of the request is a prediction of its own; otherwise the whole request is one. */
  readonly rowWise: boolean;
  /** Columns that there would be beyond the bound. */
  readonly unrecorded: number;
};

export function columnsOfSignature(signature: Signature): SignatureColumns {
  const rowWise = isRowWise([...signature.inputs, ...signature.outputs]);
  const taken = new Set<string>();
  const all = [
    ...signature.inputs.flatMap((spec) => columnsOfTensor('input', spec, rowWise)),
    ...signature.outputs.flatMap((spec) => columnsOfTensor('output', spec, rowWise)),
  ].map((column) => {
    // Two tensors may have a feature of the same name; then the tensor's stands before it.
    let name = column.name;
    if (taken.has(name)) name = `${column.side}.${column.tensor}.${column.name.slice(column.side.length + 1)}`;
    while (taken.has(name)) name += '_';
    taken.add(name);
    return { ...column, name };
  });
  return { columns: all.slice(0, MAX_COLUMNS), rowWise, unrecorded: Math.max(0, all.length - MAX_COLUMNS) };
}

function columnsOfTensor(side: 'input' | 'output', spec: TensorSpec, rowWise: boolean): SignatureColumn[] {
  const kind = kindOf(spec);
  const sizes = rowWise ? spec.shape.slice(1) : spec.shape;
  const width = sizes.reduce((product, size) => product * size, 1);
  const isSingle = ['FP16', 'BF16', 'FP32'].includes(spec.datatype);
  const base = { side, tensor: spec.name, optional: spec.optional === true, isSingle };
  const named = spec.features ?? spec.labels;
  if (sizes.every((size) => size > 0)) {
    if (width === 1) {
      const name = named?.length === 1 ? named[0]! : spec.name;
      return [{ ...base, name: `${side}.${name}`, kind, at: 0 }];
    }
    if (named?.length === width && width <= MAX_COLUMNS_OF_TENSOR) {
      // Features are inputs of their own to those who call; classes belong to their output.
      const prefix = spec.features === undefined ? `${spec.name}.` : '';
      return named.map((name, at) => ({ ...base, name: `${side}.${prefix}${name}`, kind, at }));
    }
    if (width <= MAX_NAMELESS_COLUMNS) {
      return Array.from({ length: width }, (_, at) => ({ ...base, name: `${side}.${spec.name}.${at}`, kind, at }));
    }
  }
  return [{ ...base, name: `${side}.${spec.name}`, kind: kind === 'text' ? 'text' : 'vector', at: 0 }];
}

function kindOf({ datatype }: TensorSpec): ColumnKind {
  if (datatype === 'BYTES') return 'text';
  if (datatype === 'BOOL') return 'boolean';
  return /^U?INT/.test(datatype) ? 'integer' : 'number';
}
