/**
 * The gateway's memory of predictions: counts all, hands some rows to a thread that makes profiles and the log of them, and never keeps a
 * prediction waiting. What the thread cannot take in time is dropped and counted.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../base/log.ts';
import { columnsOfSignature, type SignatureColumn } from '../../registry/signature-columns.ts';
import type { Gauge } from '../../serving/gateway/metrics.ts';
import type { ObservedPrediction, PredictionObserver } from '../../serving/gateway/prediction-observer.ts';
import type { Tensor } from '../../serving/tensors/tensor.ts';
import { numberAt, readCell } from './cells.ts';
import { DEFAULT_POLICY, type PrivacyPolicy } from './privacy-policy.ts';
import {
  type EventMeta,
  isNumeric,
  type RecorderOrder,
  type RecorderReport,
  type RowBatch,
  type Stream,
  type StreamCounts,
  TO_PROFILE,
  WITHOUT_OUTPUTS,
} from './recorded-rows.ts';
import { gaugesOf } from './recorder-gauges.ts';
import type { RecorderThreadData } from './recorder-thread.ts';
import { parseRecordingFile, RECORDING_FILE, type RecordingFile } from './recording-file.ts';

const FLUSH_MS = 250;
const BATCH_ROWS = 512;
/** Batches that the thread may have to do; with the widest versions some 100 MB. */
const MAX_BATCHES = 32;
/** Values of one batch; wide versions fill it with fewer rows. */
const BATCH_VALUES = 64 * 1024;
/** Endpoints and versions at one time. */
const MAX_STREAMS = 1000;
/** Rows of one request that are looked at. */
const MAX_ROWS_OF_CALL = 1000;
const RESTART_MS = 5_000;
const CLOSE_MS = 3_000;

export type PredictionRecorder = {
  readonly observe: PredictionObserver;
  gauges(): Gauge[];
  /** Writes what is there. */
  close(): Promise<void>;
};

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

type Open = {
  readonly stream: Stream;
  readonly groups: readonly Group[];
  readonly numbersPerRow: number;
  readonly othersPerRow: number;
  readonly capacity: number;
  policy: PrivacyPolicy;
  /** Every so many rows one is profiled. */
  stride: number;
  seenRows: number;
  profiledRows: number;
  untilNext: number;
  counts: StreamCounts;
  batch: Filling | null;
};

type Filling = {
  rows: number;
  readonly flags: Uint8Array;
  readonly at: Float64Array;
  readonly numbers: Float64Array;
  readonly others: (string | Float64Array | undefined)[];
  readonly missing: number[];
  readonly metas: (EventMeta | null)[];
};

export type PredictionRecorderDeps = {
  readonly dataDir: string;
  readonly instance: string;
  /** Most bytes of segments that control has not taken over. */
  readonly quotaBytes: number;
  /** Rows a second of one version that profiles look at; further ones by lot. */
  readonly profileRate: number;
  readonly log: Logger;
};

export function createPredictionRecorder(deps: PredictionRecorderDeps): PredictionRecorder {
  const { dataDir, instance, quotaBytes, profileRate, log } = deps;
  const perWindow = Math.max(1, (profileRate * FLUSH_MS) / 1000);
  const streams = new Map<string, Open>();
  const totals = {
    logged: 0,
    droppedBusy: 0,
    droppedStreams: 0,
    before: { written: 0, droppedDisk: 0, droppedQuota: 0 },
  };
  let last: RecorderReport | null = null;
  let file: RecordingFile | null = null;
  let fileText = '';
  let fileStamp = '';
  let thread: Worker | null = null;
  let threads = 0;
  let outstanding = 0;
  let nextStream = 1;
  let closing: ((value?: undefined) => void) | null = null;
  let saidFault: string | null = null;

  const order = (message: RecorderOrder, transfer: ArrayBuffer[] = []): void => thread?.postMessage(message, transfer);

  const start = (): void => {
    const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    // Each thread has names of its own for its files: one that died may have left some.
    const data: RecorderThreadData = { dataDir, instance: `${instance}-${threads++}`, quotaBytes };
    const worker = new Worker(new URL(`./recorder-thread.${extension}`, import.meta.url), { workerData: data });
    thread = worker;
    outstanding = 0;
    worker.on('message', (report: RecorderReport) => {
      outstanding -= report.done;
      last = report;
      if (report.fault !== saidFault) {
        saidFault = report.fault;
        if (report.fault !== null)
          log.error({ fault: report.fault }, 'predictions cannot be written and are dropped; answers go on');
        else log.info('predictions are written again');
      }
      if (report.closed) closing?.();
    });
    worker.on('error', (error) =>
      log.error({ err: error }, 'the thread that records predictions failed; another one starts'),
    );
    worker.on('exit', () => {
      if (thread !== worker) return;
      thread = null;
      if (last !== null)
        for (const name of ['written', 'droppedDisk', 'droppedQuota'] as const) totals.before[name] += last[name];
      last = null;
      if (closing !== null) closing();
      else setTimeout(start, RESTART_MS).unref();
    });
    worker.unref();
    if (fileText !== '') order({ kind: 'recording', text: fileText });
    for (const { stream } of streams.values()) order({ kind: 'stream', stream });
  };

  const look = async (): Promise<void> => {
    const path = join(dataDir, RECORDING_FILE);
    const found = await stat(path).catch(() => null);
    const stamp = found === null ? '' : `${found.mtimeMs} ${found.ino} ${found.size}`;
    if (stamp === fileStamp || found === null) return;
    const text = await readFile(path, 'utf8');
    file = parseRecordingFile(text);
    fileText = text;
    fileStamp = stamp;
    for (const open of streams.values()) open.policy = policyOf(open.stream);
    order({ kind: 'recording', text });
  };

  const policyOf = ({ project, endpoint }: { project: string; endpoint: string }): PrivacyPolicy =>
    file?.policies[`${project}/${endpoint}`] ?? DEFAULT_POLICY;

  const openStream = (key: string, prediction: ObservedPrediction): Open | null => {
    if (streams.size >= MAX_STREAMS) {
      totals.droppedStreams += 1;
      return null;
    }
    const { project, endpoint, model, version, versionDigest, signature } = prediction;
    const { columns, rowWise, unrecorded } = columnsOfSignature(signature);
    const stream = { id: nextStream++, project, endpoint, model, version, versionDigest, columns, rowWise, unrecorded };
    const groups = groupsOf(columns, signature);
    const numbersPerRow = columns.filter(isNumeric).length;
    const open: Open = {
      stream,
      groups,
      numbersPerRow,
      othersPerRow: columns.length - numbersPerRow,
      capacity: Math.max(1, Math.min(BATCH_ROWS, Math.floor(BATCH_VALUES / Math.max(1, columns.length)))),
      policy: policyOf(stream),
      stride: 1,
      seenRows: 0,
      profiledRows: 0,
      untilNext: 0,
      counts: { predictions: 0, failed: 0, rows: 0, atMs: 0 },
      batch: null,
    };
    streams.set(key, open);
    order({ kind: 'stream', stream });
    return open;
  };

  const send = (open: Open): void => {
    const { batch, counts } = open;
    open.batch = null;
    if (batch === null && counts.predictions === 0) return;
    if (outstanding >= MAX_BATCHES || thread === null) {
      // The counts go with a later batch; the rows are given up.
      totals.droppedBusy += batch?.rows ?? 0;
      return;
    }
    open.counts = { predictions: 0, failed: 0, rows: 0, atMs: counts.atMs };
    outstanding += 1;
    const rows = batch?.rows ?? 0;
    const message: RowBatch = {
      stream: open.stream.id,
      rows,
      flags: batch?.flags ?? new Uint8Array(0),
      at: batch?.at ?? new Float64Array(0),
      numbers: batch?.numbers ?? new Float64Array(0),
      others: batch?.others ?? [],
      missing: batch?.missing ?? [],
      metas: batch?.metas ?? [],
      counts,
    };
    const transfer = batch === null ? [] : [batch.flags.buffer, batch.at.buffer, batch.numbers.buffer];
    order({ kind: 'rows', batch: message }, transfer as ArrayBuffer[]);
  };

  const flushing = setInterval(() => {
    for (const open of streams.values()) {
      send(open);
      open.stride = Math.max(1, Math.ceil(open.seenRows / perWindow));
      open.seenRows = 0;
      open.profiledRows = 0;
    }
  }, FLUSH_MS).unref();
  const looking = setInterval(() => {
    look().catch((error: unknown) => log.error({ err: error }, 'what to record cannot be read; going on as before'));
  }, 1000).unref();
  start();
  void look().catch((error: unknown) => log.error({ err: error }, 'what to record cannot be read'));

  const observe: PredictionObserver = (prediction) => {
    const key = `${prediction.project}/${prediction.endpoint}@${prediction.versionDigest}`;
    const open = streams.get(key) ?? openStream(key, prediction);
    if (open === null) return;
    const { counts, policy, stream } = open;
    // What a shadow is asked, its live one was asked too: it is no traffic of the endpoint.
    const isShadow = prediction.shadowOf !== null;
    const failed = prediction.outcome.kind === 'failed';
    counts.predictions += isShadow ? 0 : 1;
    counts.failed += failed && !isShadow ? 1 : 0;
    counts.rows += isShadow ? 0 : prediction.rows;
    counts.atMs = prediction.atMs;
    const rows = stream.rowWise ? Math.max(1, prediction.rows) : 1;
    const isLogged = policy.sample > 0 && (policy.sample >= 1 || Math.random() < policy.sample);
    const mayProfile = policy.profile && prediction.inputs !== null;
    open.seenRows += rows;
    if (!isLogged && !mayProfile) return;
    const most = Math.min(rows, MAX_ROWS_OF_CALL);
    for (let row = 0; row < most; row++) {
      let profiles = false;
      if (mayProfile && --open.untilNext <= 0 && open.profiledRows < 2 * perWindow) {
        profiles = true;
        open.untilNext = open.stride;
        open.profiledRows += 1;
      }
      if (!profiles && !isLogged) continue;
      addRow(open, prediction, row, profiles, isLogged);
      if (open.batch!.rows >= open.capacity) send(open);
    }
    if (isLogged) totals.logged += most;
  };

  return {
    observe,
    gauges: () => gaugesOf(totals, last, streams.size),
    async close() {
      clearInterval(flushing);
      clearInterval(looking);
      for (const open of streams.values()) send(open);
      if (thread === null) return;
      const worker = thread;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CLOSE_MS);
        closing = () => {
          clearTimeout(timer);
          resolve();
        };
        order({ kind: 'close' });
      });
      await worker.terminate();
    },
  };
}

function addRow(open: Open, prediction: ObservedPrediction, row: number, profiles: boolean, isLogged: boolean): void {
  const { outcome, inputs } = prediction;
  const outputs = outcome.kind === 'answered' ? outcome.outputs : null;
  const batch = open.batch ?? newBatch(open);
  open.batch = batch;
  const at = batch.rows++;
  batch.flags[at] = (profiles ? TO_PROFILE : 0) | (outputs === null ? WITHOUT_OUTPUTS : 0);
  batch.at[at] = prediction.atMs;
  batch.metas.push(isLogged ? metaOf(prediction, row) : null);
  let number = at * open.numbersPerRow;
  for (const group of open.groups) {
    const tensors = group.side === 'input' ? inputs : outputs;
    const tensor = tensors === null ? undefined : tensorOf(tensors, group);
    const { columns } = group;
    if (!group.numeric) {
      for (const column of columns) {
        const value = tensor === undefined ? undefined : readCell(column, tensor, row, open.stream.rowWise);
        batch.others.push(value as string | Float64Array | undefined);
      }
      continue;
    }
    if (tensor === undefined) {
      for (let k = 0; k < columns.length; k++) batch.missing.push(number++);
      continue;
    }
    const { data, datatype } = tensor;
    const from = open.stream.rowWise ? row * (data.length / (tensor.shape[0] ?? 1)) : 0;
    if (group.whole && (data instanceof Float32Array || data instanceof Float64Array)) {
      for (let k = 0; k < columns.length; k++) batch.numbers[number++] = data[from + k]!;
    } else {
      for (const column of columns) batch.numbers[number++] = numberAt(data, datatype, from + column.at);
    }
  }
}

function newBatch({ capacity, numbersPerRow }: Open): Filling {
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

function groupsOf(columns: readonly SignatureColumn[], signature: ObservedPrediction['signature']): Group[] {
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
