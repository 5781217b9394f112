/**
 * The gateway's memory of predictions: counts all, hands some rows to a thread that makes profiles and the log of them, and never keeps a
 * prediction waiting. What the thread cannot take in time is dropped and counted.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../base/log.ts';
import { columnsOfSignature } from '../../registry/signature-columns.ts';
import type { Gauge } from '../../serving/gateway/metrics.ts';
import type { ObservedPrediction, PredictionObserver } from '../../serving/gateway/prediction-observer.ts';
import { DEFAULT_POLICY, type PrivacyPolicy } from './privacy-policy.ts';
import type { RecorderOrder, RecorderReport, RowBatch, Stream, StreamCounts } from './recorded-rows.ts';
import { gaugesOf } from './recorder-gauges.ts';
import type { RecorderThreadData } from './recorder-thread.ts';
import { parseRecordingFile, RECORDING_FILE, type RecordingFile } from './recording-file.ts';
import { type Filling, packingOf, packRow, type RowPacking, startFilling } from './row-packing.ts';

const FLUSH_MS = 250;
/** Batches that the thread may have to do; with the widest versions some 100 MB. */
const MAX_BATCHES = 32;
/** Endpoints and versions at one time. */
const MAX_STREAMS = 1000;
/** Rows of one request that are looked at. */
const MAX_ROWS_OF_CALL = 1000;
/** A version without predictions for so long is recorded no further; its next prediction begins anew. */
const QUIET_MS = 600_000;
/** Until it is known what may be kept. */
const NOTHING: PrivacyPolicy = { ...DEFAULT_POLICY, profile: false };
const RESTART_MS = 5_000;
const CLOSE_MS = 3_000;

export type PredictionRecorder = {
  readonly observe: PredictionObserver;
  gauges(): Gauge[];
  /** Writes what is there. */
  close(): Promise<void>;
};

type Open = {
  readonly stream: Stream;
  readonly packing: RowPacking;
  policy: PrivacyPolicy;
  /** Every so many rows one is profiled. */
  stride: number;
  seenRows: number;
  profiledRows: number;
  untilNext: number;
  counts: StreamCounts;
  /** Flushes since its last prediction. */
  quiet: number;
  batch: Filling | null;
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
    droppedBusy: 0,
    droppedStreams: 0,
    /** Lines that a thread took along when it died. */
    droppedThread: 0,
    before: { written: 0, droppedDisk: 0, droppedQuota: 0 },
  };
  let last: RecorderReport | null = null;
  let file: RecordingFile | null = null;
  let fileText = '';
  let fileStamp = '';
  let thread: Worker | null = null;
  let threads = 0;
  let outstanding = 0;
  /** Rows to be logged that this thread was given. */
  let handed = 0;
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
    handed = 0;
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
      const told = last ?? { written: 0, droppedDisk: 0, droppedQuota: 0 };
      for (const name of ['written', 'droppedDisk', 'droppedQuota'] as const) totals.before[name] += told[name];
      // What it wrote since it reported, a second ago at most, is counted as lost and is not.
      if (closing === null) totals.droppedThread += handed - told.written - told.droppedDisk - told.droppedQuota;
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
    fileStamp = stamp; // one that cannot be read is told once
    file = parseRecordingFile(text);
    fileText = text;
    for (const open of streams.values()) open.policy = policyOf(open.stream);
    order({ kind: 'recording', text });
  };

  const policyOf = ({ project, endpoint }: { project: string; endpoint: string }): PrivacyPolicy =>
    file === null ? NOTHING : (file.policies[`${project}/${endpoint}`] ?? DEFAULT_POLICY);

  const openStream = (key: string, prediction: ObservedPrediction): Open | null => {
    if (streams.size >= MAX_STREAMS) {
      totals.droppedStreams += 1;
      return null;
    }
    const { project, endpoint, model, version, versionDigest, signature } = prediction;
    const { columns, rowWise, unrecorded } = columnsOfSignature(signature);
    const stream = { id: nextStream++, project, endpoint, model, version, versionDigest, columns, rowWise, unrecorded };
    const open: Open = {
      stream,
      packing: packingOf(stream, signature),
      policy: policyOf(stream),
      stride: 1,
      seenRows: 0,
      profiledRows: 0,
      untilNext: 0,
      counts: { predictions: 0, failed: 0, rows: 0, atMs: 0 },
      quiet: 0,
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
    for (const meta of message.metas) if (meta !== null) handed += 1;
    const transfer = batch === null ? [] : [batch.flags.buffer, batch.at.buffer, batch.numbers.buffer];
    order({ kind: 'rows', batch: message }, transfer as ArrayBuffer[]);
  };

  const flushing = setInterval(() => {
    for (const [key, open] of streams) {
      open.quiet = open.counts.predictions === 0 && open.seenRows === 0 ? open.quiet + 1 : 0;
      send(open);
      if (open.quiet * FLUSH_MS >= QUIET_MS) {
        // Another version answers by now; others need the room.
        streams.delete(key);
        order({ kind: 'end', stream: open.stream.id });
        continue;
      }
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
      open.batch ??= startFilling(open.packing);
      packRow(open.packing, open.batch, prediction, row, profiles, isLogged);
      if (open.batch.rows >= open.packing.capacity) send(open);
    }
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
