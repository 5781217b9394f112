/** Whether tensors are what a signature asks for, apart from the values of their elements. Shared by every protocol. */
import { type FieldError, MAX_FIELD_ERRORS, SlipwayError } from '../../base/errors.ts';
import type { Signature, TensorSpec } from '../../registry/signature.ts';
import type { Tensor } from './tensor.ts';

/** What a request is for: enough to parse and check it. */
export type InputTarget = {
  /** `churn@3`, for messages. */
  readonly name: string;
  readonly signature: Signature;
  /** Whether rows of other calls may share the run, which needs one number of rows for all inputs. */
  readonly canBatch: boolean;
};

/** A sentence when a shape does not fit the signature's, else null. Sizes must be at least 1 unless the signature fixes 0. */
export function assessShape(spec: TensorSpec, shape: readonly number[]): string | null {
  if (shape.length !== spec.shape.length) {
    return `has ${shape.length} dimensions, ${spec.name} has ${spec.shape.length}: ${shapeText(spec)}`;
  }
  for (let i = 0; i < shape.length; i++) {
    const wanted = spec.shape[i]!;
    if (wanted === -1 ? shape[i]! < 1 : shape[i] !== wanted) {
      const rule = wanted === -1 ? 'at least 1' : `${wanted}`;
      return `is [${shape.join(',')}], but dimension ${i} of ${spec.name} must be ${rule}: ${shapeText(spec)}`;
    }
  }
  return null;
}

/** Free sizes of one symbolic name must be equal in all inputs; where rows may share a run, so must all numbers of rows. */
export function assessSizes(
  target: InputTarget,
  tensors: readonly Pick<Tensor, 'name' | 'shape'>[],
  pointerOf: (index: number) => string,
  faults: FieldError[],
): void {
  if (tensors.length < 2) return;
  const sizes = new Map<string, { size: number; of: string }>();
  for (let t = 0; t < tensors.length; t++) {
    const tensor = tensors[t]!;
    const spec = target.signature.inputs.find((input) => input.name === tensor.name)!;
    for (let axis = 0; axis < tensor.shape.length; axis++) {
      if (spec.shape[axis] !== -1) continue;
      const symbol = axis === 0 && target.canBatch ? 'rows' : spec.symbols?.[axis];
      if (symbol === undefined || symbol === null) continue;
      const known = sizes.get(symbol);
      if (known === undefined) sizes.set(symbol, { size: tensor.shape[axis]!, of: tensor.name });
      else if (known.size !== tensor.shape[axis] && faults.length < MAX_FIELD_ERRORS) {
        faults.push({
          pointer: pointerOf(t),
          message: `dimension ${axis} of ${tensor.name} is ${tensor.shape[axis]}, but that of ${known.of} is ${known.size}; they must be equal`,
        });
      }
    }
  }
}

/** Rows of a call: the first dimension of its inputs, 1 where they have none or differ. */
export function rowsOf(tensors: readonly Tensor[]): number {
  const rows = tensors[0]?.shape[0] ?? 1;
  for (const tensor of tensors) if (tensor.shape[0] !== rows) return 1;
  return rows;
}

/** `FP32 [-1,3]`, with the names of free dimensions where there are some. */
export function shapeText(spec: TensorSpec): string {
  const sizes = spec.shape.map((size, axis) => (size === -1 ? (spec.symbols?.[axis] ?? -1) : size));
  return `${spec.datatype} [${sizes.join(',')}]`;
}

/** The one error for inputs that do not fit, with all faults found. */
export function invalidInput(target: InputTarget, faults: readonly FieldError[], hint?: string): SlipwayError {
  const shown = faults.slice(0, MAX_FIELD_ERRORS);
  const first = shown[0]!;
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : '';
  return new SlipwayError('invalid_input', `${target.name}: ${first.pointer || 'the body'} ${first.message}${more}`, {
    fields: shown,
    ...(hint === undefined ? {} : { hint }),
  });
}
