/** How rows of tensors are packed for the recording thread: numbers side by side, what is no number beside them. */
import type { Signature } from '../../registry/signature.ts';
import type { SignatureColumn } from '../../registry/signature-columns.ts';
import type { ObservedPrediction } from '../../serving/gateway/prediction-observer.ts';
import type { Tensor } from '../../serving/tensors/tensor.ts';
import { numberAt, readCell } from './cells.ts';
import { type EventMeta, isNumeric, type Stream, TO_PROFILE, WITHOUT_OUTPUTS } from './recorded-rows.ts';

const BATCH_ROWS = 512;
/** Values of one batch; wide versions fill it with fewer rows. */
const BATCH_VALUES = 64 * 1024;

type Group = {
  readonly side: 'input' | 'output';
  readonly tensor: string;
  /** Place of its tensor among those of its side, as the signature has them. */
  readonly slot: number;
  readonly columns: readonly SignatureColumn[];
  readonly numeric: boolean;
  /** Whether its columns are the whole row of the tensor, in order. */
  readonly whole: boolean;
};

/** A batch that rows are added to. */
export type Filling = {
  rows: number;
  readonly flags: Uint8Array;
  readonly at: Float64Array;
  readonly numbers: Float64Array;
  readonly others: (string | Float64Array | undefined)[];
  readonly missing: number[];
  readonly metas: (EventMeta | null)[];
};

export type RowPacking = {
  readonly groups: readonly Group[];
  readonly rowWise: boolean;
  readonly numbersPerRow: number;
  /** Rows of a batch. */
  readonly capacity: number;
};

export function packingOf({ columns, rowWise }: Stream, signature: Signature): RowPacking {
  return {
    groups: groupsOf(columns, signature),
    rowWise,
    numbersPerRow: columns.filter(isNumeric).length,
    capacity: Math.max(1, Math.min(BATCH_ROWS, Math.floor(BATCH_VALUES / Math.max(1, columns.length)))),
  };
}

/** Adds one row of a prediction to a batch. */
export function packRow(
  packing: RowPacking,
  batch: Filling,
  prediction: ObservedPrediction,
  row: number,
  profiles: boolean,
  isLogged: boolean,
): void {
  const { outcome, inputs } = prediction;
  const outputs = outcome.kind === 'answered' ? outcome.outputs : null;
  const at = batch.rows++;
  batch.flags[at] = (profiles ? TO_PROFILE : 0) | (outputs === null ? WITHOUT_OUTPUTS : 0);
  batch.at[at] = prediction.atMs;
  batch.metas.push(isLogged ? metaOf(prediction, row) : null);
  let number = at * packing.numbersPerRow;
  for (const group of packing.groups) {
    const tensors = group.side === 'input' ? inputs : outputs;
    const tensor = tensors === null ? undefined : tensorOf(tensors, group);
    const { columns } = group;
    if (!group.numeric) {
      for (const column of columns) {
        const value = tensor === undefined ? undefined : readCell(column, tensor, row, packing.rowWise);
        batch.others.push(value as string | Float64Array | undefined);
      }
      continue;
    }
    if (tensor === undefined) {
      for (let k = 0; k < columns.length; k++) batch.missing.push(number++);
      continue;
    }
    const { data, datatype } = tensor;
    const from = packing.rowWise ? row * (data.length / (tensor.shape[0] ?? 1)) : 0;
    if (group.whole && (data instanceof Float32Array || data instanceof Float64Array)) {
      for (let k = 0; k < columns.length; k++) batch.numbers[number++] = data[from + k]!;
    } else {
      for (const column of columns) batch.numbers[number++] = numberAt(data, datatype, from + column.at);
    }
  }
}

export function startFilling({ capacity, numbersPerRow }: RowPacking): Filling {
  return {
    rows: 0,
    flags: new Uint8Array(capacity),
    at: new Float64Array(capacity),
    numbers: new Float64Array(capacity * numbersPerRow),
    others: [],
    missing: [],
    metas: [],
  };
}

function tensorOf(tensors: readonly Tensor[], { slot, tensor }: Group): Tensor | undefined {
  const usual = tensors[slot];
  return usual?.name === tensor ? usual : tensors.find((one) => one.name === tensor);
}

function groupsOf(columns: readonly SignatureColumn[], signature: Signature): Group[] {
  const groups: Group[] = [];
  for (const [, members] of Map.groupBy(columns, (column) => `${column.side}/${column.tensor}`)) {
    const { side, tensor } = members[0]!;
    const slot = (side === 'input' ? signature.inputs : signature.outputs).findIndex((spec) => spec.name === tensor);
    const whole = members.every((column, at) => column.at === at);
    groups.push({ side, tensor, slot, columns: members, numeric: isNumeric(members[0]!), whole });
  }
  return groups;
}

function metaOf(prediction: ObservedPrediction, row: number): EventMeta {
  const { assignment, outcome } = prediction;
  return {
    id: prediction.predictionId,
    row,
    requestId: prediction.requestId,
    protocol: prediction.protocol,
    arm: assignment.arm,
    reason: assignment.reason,
    propensity: assignment.propensity,
    unit: assignment.unit,
    plan: assignment.planVersion,
    epoch: assignment.epoch,
    stage: prediction.split?.stage ?? null,
    status: outcome.kind === 'answered' ? 'answered' : outcome.code,
    latencyMs: prediction.latencyMs,
    queueMs: prediction.queueMs,
    runMs: prediction.runMs,
    rows: prediction.rows,
    shadowOf: prediction.shadowOf,
  };
}
