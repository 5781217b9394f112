/** Predictions of models that are served elsewhere, into the same log and the same profiles, under the same policy. */
import { createHash } from 'node:crypto';
import type { Call } from '../../base/access/call.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { type FieldError, SlipwayError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { LookUpPredictions } from '../feedback/feedback-match.ts';
import { assertLogAccess } from '../predictions/log-access.ts';
import { findTaken, insertTaken } from '../predictions/log-store.ts';
import {
  binaryEvent,
  type CloudEvent,
  type Half,
  joinHalves,
  readCloudEvent,
  structuredEvent,
} from './cloud-events.ts';
import { type CsvColumns, readCsvLog } from './csv-log.ts';
import { ForeignFault, type ForeignPrediction, type Names } from './foreign-prediction.ts';
import type { ForeignRecorder } from './foreign-recorder.ts';
import { readSagemakerCapture } from './sagemaker-capture.ts';
import { readSeldonLog } from './seldon-log.ts';

export const IMPORT_FORMATS = ['sagemaker', 'cloudevents', 'seldon', 'csv'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

export type ImportAsked = {
  readonly format: ImportFormat;
  /** Whole lines of the file; of a CSV with its header before them. */
  readonly text: string;
  /** Line of the file at which they begin, from 1. */
  readonly firstLine?: number;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly id?: string;
  readonly at?: string;
};

export type ImportReceipt = {
  /** Predictions that were taken. */
  readonly accepted: number;
  /** Already in the log; nothing was written. */
  readonly repeated: number;
  /** Requests or responses that wait for their other half. */
  readonly waiting: number;
};

/** A half is given up waiting after this, and taken as it is. */
const HALF_MS = 60_000;
const MAX_HALVES = 10_000;
/** Predictions that came as events and are not written yet. */
const MAX_WAITING = 20_000;

export type ImportService = ReturnType<typeof createImportService>;

export function createImportService(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly log: Logger;
  readonly lookUp: LookUpPredictions;
  readonly recorder: ForeignRecorder;
}) {
  const { database, clock, dataDir, log, lookUp, recorder } = deps;
  type Place = { readonly project: Call['project']; readonly endpoint: string };
  const halves = new Map<string, Place & { readonly half: Half; readonly untilMs: number }>();
  /** What came as events and is written within a second. */
  const waiting = new Map<string, Place & { readonly predictions: ForeignPrediction[] }>();

  /** One after the other: what one adds, the next one knows. */
  const record = (place: Place, predictions: readonly ForeignPrediction[]): Promise<number> => {
    const done = recording.then(() => recordNow(place, predictions));
    recording = done.catch(() => undefined);
    return done;
  };
  let recording: Promise<unknown> = Promise.resolve();

  const recordNow = async ({ project, endpoint }: Place, predictions: readonly ForeignPrediction[]) => {
    const ids = predictions.map((one) => one.id);
    const found = await lookUp({ projectId: project.id, endpoint, predictionIds: ids, joinKeys: [] });
    const known = (id: string): boolean => found({ kind: 'prediction', predictionId: id, row: 0 }) !== null;
    const fresh = [...new Map(predictions.map((one) => [one.id, one])).values()].filter((one) => !known(one.id));
    await recorder.record(project, endpoint, fresh);
    return fresh.length;
  };

  /** Of halves those that are whole now; the others wait. */
  const pair = (place: Place, fresh: readonly Half[]): ForeignPrediction[] => {
    const whole: ForeignPrediction[] = [];
    for (const half of fresh) {
      const key = `${place.project.id}/${place.endpoint}/${half.key}`;
      const other = halves.get(key)?.half;
      if (other !== undefined && other.side !== half.side) {
        halves.delete(key);
        whole.push(joinHalves(other, half));
      } else if (halves.size >= MAX_HALVES) whole.push(half.prediction);
      else halves.set(key, { ...place, half, untilMs: clock.monotonicMs() + HALF_MS });
    }
    return whole;
  };

  return {
    /** @throws SlipwayError `invalid_request` with the line of every record that cannot be read; nothing of the request was taken then */
    async import(call: Call, endpoint: string, asked: ImportAsked): Promise<ImportReceipt> {
      await assertLogAccess(database.db, call, 'deploy', endpoint, { dataDir });
      const place = { project: call.project, endpoint };
      const { predictions, events } = read(asked);
      if (call.dryRun) return { accepted: predictions.length, repeated: 0, waiting: events.length };
      const digest = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
      const name = `import/${call.project.id}/${endpoint}/${digest}`;
      if ((await findTaken(database.db, [name])).has(name)) {
        return { accepted: 0, repeated: predictions.length + events.length, waiting: 0 };
      }
      const before = halves.size;
      const all = [...predictions, ...pair(place, events)];
      const accepted = await record(place, all);
      await database.transaction((tx) => insertTaken(tx, [name], clock.now().toISOString()));
      return { accepted, repeated: all.length - accepted, waiting: Math.max(0, halves.size - before) };
    },

    /** Events of a logger: they are written within a second, with their other halves. */
    async events(
      call: Call,
      endpoint: string,
      headers: Record<string, unknown>,
      body: unknown,
    ): Promise<ImportReceipt> {
      await assertLogAccess(database.db, call, 'predict', endpoint, { dataDir });
      const place = { project: call.project, endpoint };
      const given: CloudEvent[] = [];
      try {
        if (Array.isArray(body) && headers['ce-type'] === undefined) given.push(...body.map(structuredEvent));
        else given.push(headers['ce-type'] === undefined ? structuredEvent(body) : binaryEvent(headers, body));
        const fresh = given.map((event) => readCloudEvent(event, NO_NAMES, clock.now().getTime()));
        if (call.dryRun) return { accepted: fresh.length, repeated: 0, waiting: 0 };
        const held = [...waiting.values()].reduce((sum, one) => sum + one.predictions.length, 0);
        if (held + fresh.length > MAX_WAITING) {
          throw new SlipwayError('overloaded', 'Events come faster than they can be written', { retryAfterS: 2 });
        }
        const before = halves.size;
        const whole = pair(place, fresh);
        const key = `${call.project.id}/${endpoint}`;
        const queue = waiting.get(key) ?? { ...place, predictions: [] };
        waiting.set(key, queue);
        queue.predictions.push(...whole);
        return { accepted: whole.length, repeated: 0, waiting: Math.max(0, halves.size - before) };
      } catch (error) {
        if (!(error instanceof ForeignFault)) throw error;
        throw new SlipwayError('invalid_request', `The event ${error.message}`, {
          hint: 'Events are those of an inference logger: type …inference.request or …inference.response, with an id.',
        });
      }
    },

    /** Writes what came as events. @param all also halves that could still wait */
    async flush(all = false): Promise<void> {
      for (const [key, { half, untilMs, ...place }] of halves) {
        if (!all && clock.monotonicMs() < untilMs) continue;
        halves.delete(key);
        const queue = waiting.get(`${place.project.id}/${place.endpoint}`) ?? { ...place, predictions: [] };
        waiting.set(`${place.project.id}/${place.endpoint}`, queue);
        queue.predictions.push(half.prediction);
      }
      for (const [key, { predictions, ...place }] of waiting) {
        waiting.delete(key);
        await record(place, predictions).catch((error: unknown) =>
          log.error({ err: error, endpoint: place.endpoint, lost: predictions.length }, 'events could not be written'),
        );
      }
    },
  };
}

const NO_NAMES: Names = { inputs: [], outputs: [] };
const MAX_FAULTS = 100;

function read(asked: ImportAsked): { predictions: ForeignPrediction[]; events: Half[] } {
  const { format, text, firstLine = 1 } = asked;
  const names: Names = { inputs: asked.inputs ?? [], outputs: asked.outputs ?? [] };
  const faults: FieldError[] = [];
  const fault = (line: number, message: string): void => void faults.push({ pointer: `line ${line}`, message });
  const predictions: ForeignPrediction[] = [];
  const events: Half[] = [];
  try {
    if (format === 'csv') {
      const columns: CsvColumns = { id: asked.id ?? null, at: asked.at ?? null, outputs: names.outputs };
      predictions.push(...readCsvLog(text, columns, firstLine, fault));
    } else {
      for (const [at, line] of text.split('\n').entries()) {
        if (line.trim() === '' || faults.length >= MAX_FAULTS) continue;
        try {
          const record = parse(line);
          if (format === 'cloudevents') events.push(readCloudEvent(structuredEvent(record), names, null));
          else
            predictions.push(
              format === 'sagemaker' ? readSagemakerCapture(record, names) : readSeldonLog(record, names),
            );
        } catch (error) {
          if (!(error instanceof ForeignFault)) throw error;
          fault(firstLine + at, error.message);
        }
      }
    }
  } catch (error) {
    if (!(error instanceof ForeignFault)) throw error;
    throw new SlipwayError('invalid_request', `The file ${error.message}`);
  }
  if (faults.length === 0) return { predictions, events };
  throw new SlipwayError(
    'invalid_request',
    `${faults.length} ${faults.length === 1 ? 'record' : 'records'} cannot be read: ${faults[0]!.pointer} ${faults[0]!.message}`,
    {
      fields: faults.slice(0, MAX_FAULTS),
      hint: 'Mend these lines, then repeat the import: what was taken before is recognised.',
    },
  );
}

function parse(line: string): Record<string, unknown> {
  try {
    const value = JSON.parse(line) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new ForeignFault('is no JSON object');
}
