import type { LoadedModel } from '../engines/engine.ts';
import { datatypeInfo } from '../tensors/datatype.ts';
import {
  cutRows,
  hasSizes,
  longestSizes,
  type PaddingPlan,
  paddedElements,
  paddedSizes,
  padRows,
  SizeSpan,
} from '../tensors/padding.ts';
import { canJoinRows, joinRows } from '../tensors/rows.ts';
import type { NumericData, Tensor } from '../tensors/tensor.ts';
import type { FrameWriter } from './frame-writer.ts';
import { FRAME, FrameError, type FrameTensor } from './frames.ts';
import { hostTimeMs } from './host-time.ts';

export type PendingCall = {
  readonly id: number;
  readonly rows: number;
  /** In host milliseconds. */
  readonly deadlineMs: number;
  readonly inputs: readonly Tensor[];
  cancelled: boolean;
};

export type RunLoop = {
  add(call: PendingCall): void;
  cancel(id: number): void;
};

export type RunLoopDeps = {
  readonly model: LoadedModel;
  readonly outputs: readonly FrameTensor[];
  readonly canBatch: boolean;
  /** How calls of different sizes are padded to share a run; null where that was not proven, or is not declared. */
  readonly padding: PaddingPlan | null;
  readonly maxBatchRows: number;
  readonly writer: FrameWriter;
  /** Sends what the writer holds. */
  readonly send: () => void;
  readonly note: (startedMs: number, calls: readonly PendingCall[]) => void;
};

/**
 * The runner's loop: takes all that waits, joins the calls that can share a run, runs, and answers each with its own rows. Nothing waits
 * for more to come: what arrives during a run is the next one's. Calls that nobody wants any more are never started.
 */
export function createRunLoop({ model, outputs, maxBatchRows, writer, send, note, ...deps }: RunLoopDeps): RunLoop {
  let canBatch = deps.canBatch;
  let padding = deps.padding;
  let pending: PendingCall[] = [];
  let busy = false;
  /** Memory for the joined inputs, kept from run to run. */
  const joined = new Map<string, NumericData>();

  const drain = async (): Promise<void> => {
    while (pending.length > 0) {
      await run(takeGroup());
      send();
    }
    busy = false;
  };

  /** The first call that waits and all that can share its run, in their order. */
  const takeGroup = (): PendingCall[] => {
    const first = pending[0]!;
    if (!canBatch || pending.length === 1) {
      pending.shift();
      return [first];
    }
    const group: PendingCall[] = [first];
    const rest: PendingCall[] = [];
    const span = padding === null ? null : new SizeSpan(padding, first.inputs);
    let rows = first.rows;
    for (let i = 1; i < pending.length; i++) {
      const call = pending[i]!;
      if (
        rows + call.rows <= maxBatchRows &&
        canShare(first, call, padding) &&
        (span === null || span.admits(call.inputs))
      ) {
        group.push(call);
        rows += call.rows;
      } else {
        rest.push(call);
      }
    }
    pending = rest;
    return group;
  };

  const run = async (group: readonly PendingCall[]): Promise<void> => {
    const calls = wanted(group);
    if (calls.length === 0) return;
    let rows = 0;
    for (const call of calls) rows += call.rows;
    note(hostTimeMs(), calls);
    const padded = padding === null || calls.length === 1 ? null : sizesToPad(padding, calls);
    const startedMs = performance.now();
    let results: readonly Tensor[];
    try {
      results = await model.run(calls.length === 1 ? calls[0]!.inputs : join(calls, padded));
    } catch (error) {
      await runApart(calls, error);
      return;
    }
    const runMs = performance.now() - startedMs;
    if (calls.length === 1) {
      answer(calls[0]!, rows, runMs, results, 0, -1);
      return;
    }
    for (let i = 0; i < results.length; i++) {
      const isByRow = results[i]!.shape[0] === rows;
      if (isByRow && (padded === null || hasSizes(results[i]!, padded.plan.outputs[i]!, padded.longest))) continue;
      // Whatever validation saw: rows cannot be told apart in this output, or what was padded cannot be cut off. Never do that again.
      if (isByRow) padding = null;
      else canBatch = false;
      for (const call of calls) {
        await run([call]);
        send();
      }
      return;
    }
    let row = 0;
    for (let i = 0; i < calls.length; i++) {
      const call = calls[i]!;
      const to = row + call.rows;
      if (padded === null) {
        answer(call, rows, runMs, results, row, to);
      } else {
        const { plan, sizes } = padded;
        const own = results.map((result, at) => cutRows(result, row, to, plan.outputs[at]!, sizes[i]!));
        answer(call, rows, runMs, own, 0, -1);
      }
      row = to;
    }
  };

  /** Halves a run that failed until the call that makes it fail is alone: the others are answered. */
  const runApart = async (calls: readonly PendingCall[], error: unknown): Promise<void> => {
    if (calls.length === 1) {
      fault(calls[0]!, error);
      return;
    }
    const middle = calls.length >>> 1;
    await run(calls.slice(0, middle));
    send();
    await run(calls.slice(middle));
  };

  const wanted = (group: readonly PendingCall[]): readonly PendingCall[] => {
    const nowMs = hostTimeMs();
    let unwanted = false;
    for (const call of group) {
      if (call.cancelled || call.deadlineMs <= nowMs) unwanted = true;
    }
    if (!unwanted) return group;
    return group.filter((call) => {
      if (!call.cancelled && call.deadlineMs > nowMs) return true;
      writer.bare(FRAME.skipped, call.id);
      return false;
    });
  };

  const join = (calls: readonly PendingCall[], padded: Padded | null): Tensor[] =>
    calls[0]!.inputs.map((first, i) => {
      const parts = calls.map((call) => call.inputs[i]!);
      const pad = padded?.plan.inputs.get(first.name);
      const size = pad === undefined ? 0 : padded!.longest[pad.slot]!;
      let elements = 0;
      if (pad !== undefined) elements = paddedElements(parts, pad.axis, size);
      else for (const part of parts) elements += part.data.length;
      let into = joined.get(first.name);
      if (into === undefined || into.length < elements) {
        const { array } = datatypeInfo(first.datatype);
        if (array === null) return pad === undefined ? joinRows(parts) : padRows(parts, pad, size);
        into = new array(Math.max(elements, 2 * (into?.length ?? 0)));
        joined.set(first.name, into);
      }
      return pad === undefined ? joinRows(parts, into) : padRows(parts, pad, size, into);
    });

  const answer = (
    call: PendingCall,
    rows: number,
    runMs: number,
    results: readonly Tensor[],
    from: number,
    to: number,
  ): void => {
    try {
      writer.result(call.id, rows, runMs, results, outputs, from, to);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      fault(call, new Error(`the answer cannot be sent: ${error.message}`));
    }
  };

  const fault = (call: PendingCall, error: unknown): void => {
    writer.json(FRAME.fault, call.id, { message: error instanceof Error ? error.message : 'unknown' });
  };

  return {
    add(call) {
      pending.push(call);
      if (busy) return;
      busy = true;
      // After all that the socket has for us now.
      setImmediate(drain);
    },
    cancel(id) {
      const call = pending.find((waiting) => waiting.id === id);
      if (call !== undefined) call.cancelled = true;
    },
  };
}

type Padded = {
  readonly plan: PaddingPlan;
  /** By call and slot. */
  readonly sizes: readonly (readonly number[])[];
  readonly longest: readonly number[];
};

/** The sizes of calls that share a run, null when they are the same. */
function sizesToPad(plan: PaddingPlan, calls: readonly PendingCall[]): Padded | null {
  // Only calls that have sizes come to share a run.
  const sizes = calls.map((call) => paddedSizes(plan, call.inputs)!);
  const longest = longestSizes(sizes);
  return longest === null ? null : { plan, sizes, longest };
}

function canShare(a: PendingCall, b: PendingCall, padding: PaddingPlan | null): boolean {
  if (a.inputs.length !== b.inputs.length) return false;
  for (let i = 0; i < a.inputs.length; i++) {
    const left = a.inputs[i]!;
    const right = b.inputs[i]!;
    const padded = padding === null ? -1 : (padding.inputs.get(left.name)?.axis ?? -1);
    if (!canJoinRows(left, right, padded) || left.shape[0] !== a.rows || right.shape[0] !== b.rows) return false;
  }
  return a.inputs.length > 0;
}
