/** Makes one conversion: has the tool write the file, asks both versions the same, judges, measures, and lays the files of the new version. */
import { join } from 'node:path';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ComparedRows, ConversionReport } from '../../registry/conversion-report.ts';
import { type ImportedArtifact, importArtifact, referenceOf } from '../../registry/imports/artifact-import.ts';
import { SLIPWAY_FILE } from '../../registry/imports/slipway-file.ts';
import type { RunnerLimits } from '../../registry/limits.ts';
import { diffSignatures, isRowWise } from '../../registry/signature.ts';
import { isFaultOfServer, type StoredFile } from '../../registry/validation.ts';
import type { StoredVersion } from '../../registry/version-store.ts';
import type { Environments } from '../python/environments.ts';
import type { RunnerSpec } from '../runner/runner.ts';
import { type RunnerProcess, startRunner } from '../runner/runner-process.ts';
import { joinRows, sliceRows } from '../tensors/rows.ts';
import type { Tensor } from '../tensors/tensor.ts';
import { askRunner, isRefusedInput } from './ask-runner.ts';
import { type ComparedCall, drawnCalls, givenCalls } from './compared-calls.ts';
import { type Comparison, createComparison } from './comparison.ts';
import {
  type ConversionPlan,
  type ConversionSpec,
  DEFAULT_FIDELITY,
  DEFAULT_LOST,
  DEFAULT_TOLERANCE,
  type Floats,
  planConversion,
} from './conversion.ts';
import { type AnsweredCall, layConvertedFiles, MOST_CASES } from './converted-files.ts';
import { judge } from './judge-conversion.ts';
import { BATCH_ROWS, measureVersion } from './measure-version.ts';
import { runTool } from './tool-run.ts';

export type ConversionJob = {
  readonly version: StoredVersion;
  readonly spec: ConversionSpec;
  /** With where their bytes lie. */
  readonly files: readonly StoredFile[];
  /** An empty folder, removed by the caller. */
  readonly folder: string;
  /** Of the version; of the tool: the operator's. */
  readonly limits: RunnerLimits;
  readonly toolLimits: RunnerLimits;
  readonly tell: (words: string) => void;
  /** Told of each process, with how to end it. */
  readonly onStart: (end: () => void) => void;
};

export type MakerDeps = {
  readonly log: Logger;
  readonly scratchDir: string;
  readonly environments: Environments;
};

export type MadeConversion = {
  readonly report: ConversionReport;
  /** Null: it passes. */
  readonly refusal: { readonly reason: string; readonly hint: string } | null;
  readonly files: readonly StoredFile[];
};

type Candidate = {
  readonly runner: RunnerProcess;
  readonly comparison: Comparison;
  readonly rows: ComparedRows;
  readonly answered: readonly AnsweredCall[];
  readonly onnx: Uint8Array;
  readonly by: string;
  readonly refusal: MadeConversion['refusal'];
};

/** @throws SlipwayError when nothing could be made that answers at all */
export async function makeConversion(job: ConversionJob, deps: MakerDeps): Promise<MadeConversion> {
  const { version, spec } = job;
  const plan = planConversion(spec, version);
  const { interpreter } = await deps.environments.ensure(plan.needs, job.tell);
  const imported = await importArtifact(job.files, { allowCode: version.runtime !== null });
  job.tell('Loading the version as it is');
  const source = start(await sourceSpec(job, deps), job, deps);
  const running: RunnerProcess[] = [source];
  try {
    await source.loaded;
    const given = await givenCalls(version.signature, {
      golden: imported.golden,
      example: version.sampleRequest,
      reference: referenceOf(imported.about, new Map(job.files.map((file) => [file.path, file]))),
      truth: spec.kind === 'optimize' ? (spec.truth ?? null) : null,
    });
    const ask = rememberAnswers(source, job.limits.runTimeoutMs);
    let last: unknown = null;
    let nearest: Candidate | null = null;
    for (const [at, floats] of plan.floats.entries()) {
      try {
        const candidate = await tryOne({ ...job, folder: join(job.folder, `try-${at}`) }, deps, {
          plan,
          floats,
          interpreter,
          imported,
          given,
          ask,
        });
        running.push(candidate.runner);
        if (nearest === null || candidate.refusal === null || isNearer(candidate, nearest)) nearest = candidate;
        if (candidate.refusal === null) break;
      } catch (error) {
        last = error;
        if (isFaultOfServer(toSlipwayError(error).code)) throw error;
        deps.log.debug({ err: error, floats, version: version.version }, 'a conversion did not succeed');
      }
    }
    if (nearest === null) throw last;
    job.tell('Measuring both');
    return await finish(job, { imported, source, candidate: nearest });
  } finally {
    for (const runner of running) runner.kill();
    await Promise.all(running.map((runner) => runner.exited));
  }
}

function isNearer(a: Candidate, b: Candidate): boolean {
  const unequal = (one: Candidate): number => one.comparison.outputs().reduce((sum, output) => sum + output.unequal, 0);
  return unequal(a) < unequal(b);
}

async function sourceSpec({ version, files, limits }: ConversionJob, deps: MakerDeps): Promise<SourceSpec> {
  const { engine, entry, signature, runtime } = version;
  const spec = { engine, entry, files, signature, limits };
  if (runtime === null) return spec;
  const { interpreter } = await deps.environments.ensure(runtime, () => {});
  return { ...spec, python: { runtime, interpreter } };
}

type SourceSpec = Pick<RunnerSpec, 'engine' | 'entry' | 'files' | 'signature' | 'limits' | 'python'>;

function start(spec: SourceSpec, { version, onStart }: ConversionJob, { log, scratchDir }: MakerDeps): RunnerProcess {
  const name = `${version.project}/${version.model}@${version.version}`;
  const runner = startRunner({ ...spec, name, canBatch: false, canPad: false, scratchDir }, { log });
  onStart(() => runner.kill());
  return runner;
}

type Ask = (call: ComparedCall) => Promise<readonly Tensor[] | null>;

/** Null where the version refuses the inputs. The same calls are asked again for each attempt. */
function rememberAnswers(runner: RunnerProcess, runTimeoutMs: number): Ask {
  const known = new Map<ComparedCall, readonly Tensor[] | null>();
  return async (call) => {
    const before = known.get(call);
    if (before !== undefined) return before;
    const answer = await askRunner(runner, call.inputs, call.rows, runTimeoutMs).then(
      ({ outputs }) => outputs.map(copied),
      (error: unknown) => {
        if (isRefusedInput(error)) return null;
        throw error;
      },
    );
    known.set(call, answer);
    return answer;
  };
}

/** A frame's memory is used again for the next. */
function copied(tensor: Tensor): Tensor {
  return { ...tensor, data: tensor.data.slice() as Tensor['data'] };
}

async function tryOne(
  job: ConversionJob,
  deps: MakerDeps,
  about: {
    readonly plan: ConversionPlan;
    readonly floats: Floats;
    readonly interpreter: string;
    readonly imported: ImportedArtifact;
    readonly given: readonly ComparedCall[];
    readonly ask: Ask;
  },
): Promise<Candidate> {
  const { version, spec, folder } = job;
  const { plan, floats, interpreter, imported, given, ask } = about;
  const isConvert = spec.kind === 'convert';
  job.tell(
    isConvert
      ? `Converting to ONNX, in ${floats}`
      : `Optimising${spec.quantize === 'none' ? '' : `, ${spec.quantize}`}`,
  );
  const made = await runTool(
    plan,
    {
      name: `${version.project}/${version.model}@${version.version}`,
      entry: version.entry,
      files: job.files,
      options: isConvert ? { floats } : {},
      interpreter,
      limits: job.toolLimits,
      scratchDir: deps.scratchDir,
      folder: job.folder,
      calibration: spec.kind === 'optimize' && spec.quantize === 'int8-static' ? calibrationOf(given) : null,
      onStart: job.onStart,
    },
    deps.log,
  );
  const files = await layConvertedFiles(folder, {
    onnx: made.onnx,
    about: imported.about,
    files: job.files,
    golden: [],
    answered: [],
    tolerance: null,
    description: '',
  });
  const read = await importArtifact(files);
  const diff = diffSignatures(version.signature, read.signature);
  if (diff.breaking) {
    const reasons = diff.changes.filter((one) => one.breaking).map((one) => `${one.path}: ${one.reason}`);
    throw new SlipwayError('model_unsupported', `What was made takes or gives something else: ${reasons.join('; ')}`);
  }
  const candidate = start(
    { engine: 'onnxruntime', entry: read.entry, files, signature: read.signature, limits: job.limits },
    job,
    deps,
  );
  try {
    await candidate.loaded;
    job.tell('Comparing the answers');
    const tolerance = { ...DEFAULT_TOLERANCE, ...(isConvert ? spec.tolerance : {}) };
    const comparison = createComparison(version.signature, tolerance, isConvert ? null : (spec.output ?? null));
    const rows = { golden: 0, example: 0, reference: 0, drawn: 0, unanswered: 0 };
    const answered: AnsweredCall[] = [];
    const order = version.signature.outputs.map(({ name }) =>
      read.signature.outputs.findIndex((one) => one.name === name),
    );
    for (const call of callsFor(spec, given, () => drawnCalls(made.onnx, version.signature))) {
      const before = await ask(call);
      if (before === null) {
        rows.unanswered += call.rows;
        continue;
      }
      const { outputs } = await askRunner(candidate, inputsFor(read, call), call.rows, job.limits.runTimeoutMs);
      comparison.add(
        before,
        order.map((at) => outputs[at]!),
        call.rows,
        call.truth,
      );
      rows[call.origin] += call.rows;
      if (answered.length < MOST_CASES) answered.push({ ...call, outputs: before });
    }
    const by = isConvert ? `${made.by}; ${floats}` : made.by;
    return {
      runner: candidate,
      comparison,
      rows,
      answered,
      onnx: made.onnx,
      by,
      refusal: judge(spec, comparison, rows),
    };
  } catch (error) {
    candidate.kill();
    await candidate.exited;
    throw error;
  }
}

/** What is optimised may answer otherwise where no real row is: with a reference set, that alone decides. */
function callsFor(
  spec: ConversionSpec,
  given: readonly ComparedCall[],
  drawn: () => readonly ComparedCall[],
): readonly ComparedCall[] {
  const real = given.filter((call) => call.origin === 'reference');
  return spec.kind === 'optimize' && real.length > 0 ? real : [...given, ...drawn()];
}

/** In the order of the graph that was made. */
function inputsFor({ signature }: ImportedArtifact, { inputs }: ComparedCall): Tensor[] {
  return signature.inputs.flatMap(({ name }) => inputs.find((one) => one.name === name) ?? []);
}

const CALIBRATION_CALLS = 100;

/** @throws SlipwayError `model_unsupported` where nothing came with the version */
function calibrationOf(given: readonly ComparedCall[]): (readonly Tensor[])[] {
  const real = given.filter((call) => call.origin === 'reference' || call.origin === 'golden');
  if (real.length > 0) return real.slice(0, CALIBRATION_CALLS).map((call) => call.inputs);
  throw new SlipwayError('model_unsupported', 'Static quantisation looks at real rows, and the version has none', {
    hint: 'Deploy it with a reference set or a golden set in slipway.yaml, or take --quantize int8, which needs none.',
  });
}

async function finish(
  job: ConversionJob,
  { imported, source, candidate }: { imported: ImportedArtifact; source: RunnerProcess; candidate: Candidate },
): Promise<MadeConversion> {
  const { version, spec, limits } = job;
  const { comparison, rows, onnx, by, refusal } = candidate;
  const calls = measuredCalls(version, candidate.answered, limits.maxBatchRows);
  const measure = (runner: RunnerProcess, engine: string, sizeBytes: number) =>
    measureVersion(runner, calls, { engine, sizeBytes, runTimeoutMs: limits.runTimeoutMs });
  const sizeBytes = sizeOfModel(job.files, imported);
  const tolerance = spec.kind === 'convert' ? { ...DEFAULT_TOLERANCE, ...spec.tolerance } : null;
  const report: ConversionReport = {
    kind: spec.kind,
    ...(spec.kind === 'optimize' ? { quantize: spec.quantize } : {}),
    from: { version: version.version, digest: version.digest },
    by,
    rows,
    outputs: comparison.outputs(),
    tolerance,
    leastFidelity: spec.kind === 'optimize' ? (spec.leastFidelity ?? DEFAULT_FIDELITY) : null,
    accuracy:
      spec.kind === 'optimize' && spec.truth !== undefined
        ? comparison.accuracy({ truth: spec.truth, mostLost: spec.mostLost ?? DEFAULT_LOST })
        : null,
    worst: comparison.worst(),
    before: await measure(source, version.engine, sizeBytes),
    after: await measure(candidate.runner, 'onnxruntime', onnx.length),
  };
  if (refusal !== null) return { report, refusal, files: [] };
  const files = await layConvertedFiles(join(job.folder, 'made'), {
    onnx,
    about: imported.about,
    files: job.files,
    golden: imported.golden,
    answered: candidate.answered,
    tolerance: tolerance ?? null,
    description: imported.description ?? `Made of version ${version.version}: ${imported.what}`,
  });
  return { report, refusal, files };
}

/** Without what only tells of it. */
function sizeOfModel(files: readonly StoredFile[], { about }: ImportedArtifact): number {
  const beside = [SLIPWAY_FILE, about.golden, about.reference, about.card, 'requirements.txt'];
  return files.reduce((sum, { path, sizeBytes }) => (beside.includes(path) ? sum : sum + sizeBytes), 0);
}

/** One row, and many of them together where a run takes them. */
function measuredCalls(version: StoredVersion, answered: readonly AnsweredCall[], maxBatchRows: number) {
  const first = answered[0]!;
  const isByRow = isRowWise(version.signature.inputs) && version.signature.inputs.every((spec) => spec.shape[0] === -1);
  if (!isByRow || first.rows === 0) return { single: first, batch: first };
  const single = { inputs: first.inputs.map((tensor) => sliceRows(tensor, 0, 1)), rows: 1 };
  const count = Math.min(BATCH_ROWS, maxBatchRows);
  const batch = { inputs: single.inputs.map((tensor) => joinRows(Array<Tensor>(count).fill(tensor))), rows: count };
  return { single, batch };
}
