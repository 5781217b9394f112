/** Runs a tool of the Python program in the cage of a runner, and takes the ONNX file that it makes. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { RunnerLimits } from '../../registry/limits.ts';
import type { Signature } from '../../registry/signature.ts';
import type { StoredFile } from '../../registry/validation.ts';
import { startRunner } from '../runner/runner-process.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { askRunner } from './ask-runner.ts';
import type { ConversionPlan } from './conversion.ts';

/** The face of slipway_runner/onnx_answer.py: from which byte on, and the bytes. */
const TOOL_SIGNATURE: Signature = {
  inputs: [{ name: 'from', datatype: 'INT64', shape: [1] }],
  outputs: [{ name: 'bytes', datatype: 'UINT8', shape: [-1] }],
};
const PIECE_TIMEOUT_MS = 60_000;
const CALIBRATION = 'calibration.json';

export type ToolAnswer = {
  readonly onnx: Uint8Array;
  /** The programs that made it, with their versions. */
  readonly by: string;
};

/**
 * @param job.limits of its process; loading is the work, so that limit is the time that the whole may take
 * @throws SlipwayError `model_unsupported` with what the tool refuses, `runner_crashed`, …
 */
export async function runTool(
  plan: ConversionPlan,
  job: {
    readonly name: string;
    readonly entry: string;
    readonly files: readonly StoredFile[];
    readonly options: Readonly<Record<string, unknown>>;
    readonly interpreter: string;
    readonly limits: RunnerLimits;
    readonly scratchDir: string;
    /** Where files for the tool may be laid. */
    readonly folder: string;
    readonly calibration: readonly (readonly Tensor[])[] | null;
    /** Told that the process runs, with how to end it. */
    readonly onStart: (end: () => void) => void;
  },
  log: Logger,
): Promise<ToolAnswer> {
  const files =
    job.calibration === null ? job.files : [...job.files, await layCalibration(job.folder, job.calibration)];
  const runner = startRunner(
    {
      name: job.name,
      engine: 'python',
      entry: job.entry,
      files,
      signature: TOOL_SIGNATURE,
      canBatch: false,
      canPad: false,
      limits: { ...job.limits, runTimeoutMs: PIECE_TIMEOUT_MS },
      python: {
        runtime: { loader: plan.tool, options: { ...plan.options, ...job.options }, network: false },
        interpreter: job.interpreter,
      },
      scratchDir: job.scratchDir,
    },
    { log },
  );
  job.onStart(() => runner.kill());
  try {
    const { about } = await runner.loaded.catch(async (error: unknown) => {
      const { reason, stderr, asked } = await runner.exited;
      if (asked) throw new SlipwayError('shutting_down', 'The server is being stopped');
      log.info({ tool: plan.tool, version: job.name, reason, stderr: stderr.slice(-2000) }, 'a conversion tool failed');
      throw error;
    });
    const parts: Uint8Array[] = [];
    for (let from = 0; ; ) {
      const at: Tensor = { name: 'from', datatype: 'INT64', shape: [1], data: BigInt64Array.of(BigInt(from)) };
      const { outputs } = await askRunner(runner, [at], 1, PIECE_TIMEOUT_MS);
      const part = outputs[0]!.data as Uint8Array;
      if (part.length === 0) break;
      parts.push(part.slice()); // the frame's memory is used again
      from += part.length;
    }
    return { onnx: Buffer.concat(parts), by: about ?? '' };
  } finally {
    runner.kill();
    await runner.exited;
  }
}

/** Calls for static quantisation, where the tool looks for them. */
async function layCalibration(folder: string, calls: readonly (readonly Tensor[])[]): Promise<StoredFile> {
  const text = JSON.stringify(
    calls.map((inputs) =>
      inputs.map(({ name, datatype, shape, data }) => ({
        name,
        datatype,
        shape,
        values: Array.from<unknown>(data as Float32Array).map((value) =>
          typeof value === 'bigint' ? Number(value) : value,
        ),
      })),
    ),
  );
  await mkdir(folder, { recursive: true });
  const blobPath = join(folder, CALIBRATION);
  await writeFile(blobPath, text, { mode: 0o600 });
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
  return { path: CALIBRATION, blobPath, sizeBytes: Buffer.byteLength(text), digest };
}
