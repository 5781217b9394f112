/** A signature as a table: which columns a CSV body may have and where their cells go. */
import { type CellKind, cellKindOf } from '../../base/csv-cell.ts';
import { SlipwayError } from '../../base/errors.ts';
import { isRowWise, type Signature, type TensorSpec } from '../../registry/signature.ts';
import { type InputTarget, shapeText } from '../tensors/input-check.ts';
import { elementCount } from '../tensors/shape.ts';

export type InputColumn = {
  readonly name: string;
  /** Place of the input in the signature. */
  readonly input: number;
  /** Place of the value in a row of that input. */
  readonly offset: number;
  readonly kind: CellKind;
};

export type InputColumns = {
  /** In the order of the signature. */
  readonly all: readonly InputColumn[];
  readonly byName: ReadonlyMap<string, InputColumn>;
  /** Values in a row, by input. */
  readonly widths: readonly number[];
};

/** Columns of one table; nobody types more. */
const MAX_COLUMNS = 100_000;
const known = new WeakMap<Signature, InputColumns>();

/**
 * Columns by feature names; by the input's name where a row of it is one value; else by name and place, `X.0`, `X.1`, …
 * @throws SlipwayError `invalid_input` for models whose inputs are no table
 */
export function inputColumns(target: InputTarget): InputColumns {
  const found = known.get(target.signature);
  if (found !== undefined) return found;
  const { inputs } = target.signature;
  if (!isRowWise(inputs)) {
    throw notATable(target, 'takes whole tensors, not rows');
  }
  const all: InputColumn[] = [];
  const widths: number[] = [];
  const byName = new Map<string, InputColumn>();
  for (const [input, spec] of inputs.entries()) {
    const width = elementCount(spec.shape.slice(1));
    if (width === null) throw notATable(target, `has an input of free size: ${spec.name} is ${shapeText(spec)}`);
    if (all.length + width > MAX_COLUMNS) throw notATable(target, `would need more than ${MAX_COLUMNS} columns`);
    widths.push(width);
    const kind = cellKindOf(spec.datatype);
    for (const [offset, name] of namesOf(spec, width).entries()) {
      const column = { name, input, offset, kind };
      if (byName.has(name)) throw notATable(target, `has two columns called ${name}`);
      byName.set(name, column);
      all.push(column);
    }
  }
  const columns = { all, byName, widths };
  known.set(target.signature, columns);
  return columns;
}

function namesOf(spec: TensorSpec, width: number): readonly string[] {
  if (spec.features !== undefined) return spec.features;
  return width === 1 ? [spec.name] : Array.from({ length: width }, (_, at) => `${spec.name}.${at}`);
}

function notATable(target: InputTarget, reason: string): SlipwayError {
  return new SlipwayError('invalid_input', `${target.name} cannot be asked with a table: it ${reason}`, {
    hint: 'Send JSON, one record a line of NDJSON, or an Arrow stream.',
  });
}
