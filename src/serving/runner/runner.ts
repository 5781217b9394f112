/**
 * The words of this folder: what a runner is started from, what it tells, and the face its users hold. A runner is a child
 * process with one loaded model version. `startRunner` gives one process; `superviseRunner` keeps one alive.
 */
import type { SlipwayError } from '../../base/errors.ts';
import type { RunnerLimits } from '../../registry/limits.ts';
import type { Measure, PythonLoader, PythonTool, Runtime } from '../../registry/runtime.ts';
import type { Signature } from '../../registry/signature.ts';
import type { StoredFile } from '../../registry/validation.ts';
import type { Tensor } from '../tensors/tensor.ts';

export type RunnerSpec = {
  /** For logs and reasons: `project/model@version`. */
  readonly name: string;
  readonly engine: string;
  /** Path, inside the artifact, of the file the engine opens. */
  readonly entry: string;
  /** Nothing of them is trusted before their digests were recomputed. */
  readonly files: readonly StoredFile[];
  readonly signature: Signature;
  /** Whether rows of different calls may share a run. */
  readonly canBatch: boolean;
  /** Whether those of different sizes may, padded as the signature declares it. */
  readonly canPad: boolean;
  readonly limits: RunnerLimits;
  /** For the engine python: what it is started with. */
  readonly python?: PythonSpec;
  /** Folder in which each process gets an empty folder of its own, removed when it ended. */
  readonly scratchDir: string;
};

export type PythonSpec = {
  readonly runtime: Pick<Runtime, 'options' | 'network'> & { readonly loader: PythonLoader | PythonTool };
  /** Absolute path of the interpreter. */
  readonly interpreter: string;
};

export type LoadReport = {
  /** From the start of the process until it could answer. */
  readonly loadMs: number;
  /** Resident size after loading; null where the system does not tell. */
  readonly memoryBytes: number | null;
  /** What the engine says of the loaded model; null where it says nothing. */
  readonly about: string | null;
  /** Protections that the process took on; null where the engine has none of its own. */
  readonly measures: readonly Measure[] | null;
};

/** How far a process came. */
export type RunnerStep = 'spawned' | 'verifying' | 'loading' | 'warming' | 'running';

export type RunnerExit = {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last 8 KiB of what it wrote to standard error. */
  readonly stderr: string;
  readonly lastStep: RunnerStep;
  /** One sentence without its subject and full stop: `was killed after 60 s of loading`. */
  readonly reason: string;
  /** Whether it ended because it was asked to. */
  readonly asked: boolean;
};

export type CallTimings = {
  /** All the time the call spent here that was not its run. */
  readonly queueMs: number;
  /** The run that computed it, shared with the other calls of the same run. */
  readonly runMs: number;
  /** Rows of that run. */
  readonly batchRows: number;
};

/** Called exactly once, never before `infer` returned, unless the call is cancelled: then never. */
export type CallDone = (error: SlipwayError | null, outputs: readonly Tensor[] | null, timings: CallTimings) => void;

export type Priority = 'high' | 'normal' | 'low';

/** Whose calls share one place in queues: one object for each key, the same one for as long as the key lives. */
export type Flow = {
  /** By which other processes of this machine know it; null or absent: callers without a key. */
  readonly id?: string | null;
  /** Its share beside other flows that want the same queue. */
  readonly weight: number;
};

export type CallOptions = {
  /** Time left until nobody wants the answer any more. */
  readonly timeoutMs: number;
  /** Absent: that of all who name none. */
  readonly flow?: Flow | undefined;
  /** Among the calls of its own flow. Absent: normal. */
  readonly priority?: Priority | undefined;
};

export type CallHandle = {
  /** Nobody wants the answer any more. A call that did not start yet never will. */
  cancel(): void;
};

/** What takes calls. `rows` is the first dimension of every input, or 1 where inputs have none. */
export type Infer = (inputs: readonly Tensor[], rows: number, options: CallOptions, done: CallDone) => CallHandle;
