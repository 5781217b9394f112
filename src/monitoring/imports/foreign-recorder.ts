/** Writes predictions of other systems as gateways write their own: policy first, then profiles, then lines, all on the disk when it resolves. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Call } from '../../base/access/call.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { ColumnKind, SignatureColumn } from '../../registry/signature-columns.ts';
import { findVersion } from '../../registry/version-store.ts';
import { findEndpoint } from '../../serving/endpoints/endpoint-store.ts';
import type { CellValue } from '../predictions/cells.ts';
import { fieldsOf } from '../predictions/log-access.ts';
import { listSegments } from '../predictions/log-segments.ts';
import { ensureKey, findPolicy, listFiles } from '../predictions/log-store.ts';
import { type PaneLine, writePanes } from '../predictions/pane-writer.ts';
import { DEFAULT_POLICY } from '../predictions/privacy-policy.ts';
import { isNumeric, type RowBatch, type Stream, TO_PROFILE, WITHOUT_OUTPUTS } from '../predictions/recorded-rows.ts';
import { PANES_FOLDER, SEGMENTS_FOLDER } from '../predictions/recording-file.ts';
import { createRowRecorder } from '../predictions/row-recorder.ts';
import { createSegmentWriter } from '../predictions/segment-writer.ts';
import { murmur3 } from '../profiles/murmur3.ts';
import { KEPT_DAYS } from '../profiles/profile-store.ts';
import { readReference } from '../profiles/reference-store.ts';
import type { ForeignPrediction, ForeignValue } from './foreign-prediction.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const SAMPLE_SEED = 7;

export type ForeignRecorder = {
  record(project: Call['project'], endpoint: string, predictions: readonly ForeignPrediction[]): Promise<void>;
};

export function createForeignRecorder(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly quotaBytes: number;
}): ForeignRecorder {
  const { database, clock, dataDir, quotaBytes } = deps;

  /** Kinds that columns of the endpoint have already: a column does not change its kind. */
  const knownKinds = async (project: Call['project'], endpoint: string): Promise<Map<string, ColumnKind>> => {
    const spec = await findEndpoint(database.db, project.id, endpoint);
    const kinds = new Map<string, ColumnKind>();
    for (const file of await listFiles(database.db, { projectId: project.id, endpoint })) {
      for (const [name, kind] of Object.entries(JSON.parse(file.columns) as Record<string, ColumnKind>))
        kinds.set(name, kind);
    }
    for (const segment of listSegments(dataDir, project.name, endpoint)) {
      for (const [name, kind] of Object.entries(segment.columns)) kinds.set(name, kind);
    }
    for (const { name, kind } of (await fieldsOf(database.db, spec)) ?? []) kinds.set(name, kind);
    return kinds;
  };

  /** A version that is registered here has its reference; any other is known by its name alone. */
  const digestOf = async (
    project: Call['project'],
    endpoint: string,
    model: string,
    version: number,
  ): Promise<string> => {
    const spec = await findEndpoint(database.db, project.id, endpoint);
    const own = spec !== null && spec.model === model ? await findVersion(database.db, spec.modelId, version) : null;
    const name = `elsewhere/${project.name}/${model}@${version}`;
    return own?.digest ?? `sha256:${createHash('sha256').update(name).digest('hex')}`;
  };

  return {
    async record(project, endpoint, predictions) {
      if (predictions.length === 0) return;
      const policy = (await findPolicy(database.db, project.id, endpoint))?.policy ?? DEFAULT_POLICY;
      const key = await database.transaction((tx) => ensureKey(tx, project.id));
      const spec = await findEndpoint(database.db, project.id, endpoint);
      const kinds = await knownKinds(project, endpoint);
      const instance = `import-${randomUUID()}`;
      const writer = createSegmentWriter({ folder: join(dataDir, SEGMENTS_FOLDER), instance, quotaBytes });
      const panes: PaneLine[] = [];
      const byVersion = Map.groupBy(
        predictions.toSorted((a, b) => a.atMs - b.atMs),
        (one) => `${one.model ?? spec?.model ?? endpoint}\n${one.version ?? spec?.targetVersion ?? 1}`,
      );
      const streams = new Map<Stream, ForeignPrediction[]>();
      for (const [name, group] of byVersion) {
        const [model, version] = name.split('\n') as [string, string];
        const versionDigest = await digestOf(project, endpoint, model, Number(version));
        const columns = columnsOf(group, kinds);
        const of = { project: project.name, endpoint, model, version: Number(version), versionDigest };
        streams.set({ id: streams.size + 1, ...of, columns, rowWise: true, unrecorded: 0 }, group);
      }
      const edges = new Map(
        await Promise.all(
          [...streams.keys()].map(async ({ versionDigest }) => {
            const reference = await readReference(database.db, { projectId: project.id, versionDigest });
            const of = [...(reference?.columns ?? [])].flatMap(([name, { histogram }]) =>
              histogram === null ? [] : [[name, histogram.edges] as const],
            );
            return [versionDigest, new Map(of)] as const;
          }),
        ),
      );
      const recorder = createRowRecorder(
        {
          append: (path, header, line) => void writer.append(path, header, line),
          take: (lines) => void panes.push(...lines),
          edgesOf: (digest) => edges.get(digest) ?? new Map(),
          nowMs: () => clock.now().getTime(),
          random: Math.random,
          paneMs: HOUR_MS,
        },
        randomBytes(32).toString('hex'),
      );
      const policies = { [`${project.name}/${endpoint}`]: policy };
      recorder.configure({ schema: 1, revision: 0, keys: { [project.name]: key }, policies });
      for (const [stream, group] of streams) {
        recorder.open(stream);
        for (const prediction of group) recorder.add(batchOf(stream, prediction, policy.sample));
      }
      recorder.close();
      writer.close();
      if (writer.counts.droppedDisk + writer.counts.droppedQuota > 0) {
        throw new SlipwayError('disk_full', 'There is no room for more of the prediction log', {
          hint: 'Free some space, or raise SLIPWAY_LOG_QUOTA; then repeat the import: what was taken is recognised.',
        });
      }
      // Minutes that are not kept any more would go at once.
      const oldMs = clock.now().getTime() - (KEPT_DAYS.minute - 1) * DAY_MS;
      const lines = panes.map((line): PaneLine => (line.startMs < oldMs ? { ...line, span: 'hour' } : line));
      if (lines.length > 0) writePanes(join(dataDir, PANES_FOLDER), `${instance}.jsonl`, lines);
    },
  };
}

/** Columns of some predictions, in the order they first come. */
function columnsOf(predictions: readonly ForeignPrediction[], kinds: Map<string, ColumnKind>): SignatureColumn[] {
  const columns = new Map<string, SignatureColumn>();
  for (const side of ['input', 'output'] as const) {
    for (const prediction of predictions) {
      for (const row of prediction[`${side}s`]) {
        for (const [short, value] of Object.entries(row)) {
          const name = `${side}.${short}`;
          if (columns.has(name) || value === null) continue;
          const kind = kinds.get(name) ?? kindOf(value);
          kinds.set(name, kind);
          columns.set(name, { name, side, tensor: short, kind, at: 0, optional: true });
        }
      }
    }
  }
  return [...columns.values()];
}

function kindOf(value: ForeignValue): ColumnKind {
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'boolean';
  return typeof value === 'string' ? 'text' : 'vector';
}

/** A value as its column has them; undefined where it is none of the kind. */
function cellOf(value: ForeignValue | undefined, kind: ColumnKind): CellValue | undefined {
  if (value === null || value === undefined) return undefined;
  if (kind === 'text') return typeof value === 'object' ? JSON.stringify(value) : String(value);
  if (kind === 'vector') return typeof value === 'object' ? Float64Array.from(value) : undefined;
  if (kind === 'boolean')
    return typeof value === 'boolean' ? value : value === 1 || value === 0 ? value === 1 : undefined;
  if (typeof value === 'boolean') return value ? 1 : 0;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && (!Number.isNaN(number) || Number.isNaN(value)) ? number : undefined;
}

const encoder = new TextEncoder();

/** The same prediction is in the sample or not, however often it comes. */
function isSampled(id: string, share: number): boolean {
  const bytes = encoder.encode(id);
  return share >= 1 || murmur3(bytes, bytes.length, SAMPLE_SEED) < share * 2 ** 32;
}

function batchOf(stream: Stream, prediction: ForeignPrediction, share: number): RowBatch {
  const rows = Math.max(1, prediction.inputs.length, prediction.outputs.length);
  const isLogged = share > 0 && isSampled(prediction.id, share);
  const hasOutputs = prediction.outputs.length > 0;
  const numbers: number[] = [];
  const others: (string | Float64Array | undefined)[] = [];
  const missing: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (const column of stream.columns) {
      const value = cellOf(prediction[`${column.side}s`][row]?.[column.tensor], column.kind);
      if (!isNumeric(column)) others.push(value as string | Float64Array | undefined);
      else {
        if (value === undefined) missing.push(numbers.length);
        numbers.push(Number(value ?? 0));
      }
    }
  }
  return {
    stream: stream.id,
    rows,
    flags: new Uint8Array(rows).fill(TO_PROFILE | (hasOutputs ? 0 : WITHOUT_OUTPUTS)),
    at: new Float64Array(rows).fill(prediction.atMs),
    numbers: Float64Array.from(numbers),
    others,
    missing,
    metas: Array.from({ length: rows }, (_, row) => (isLogged ? metaOf(prediction, row, rows) : null)),
    counts: { predictions: 1, failed: prediction.status === 'answered' ? 0 : 1, rows, atMs: prediction.atMs },
  };
}

function metaOf({ id, status, latencyMs }: ForeignPrediction, row: number, rows: number) {
  const none = { arm: null, unit: null, plan: null, stage: null, shadowOf: null, requestId: '' } as const;
  const times = { latencyMs: latencyMs ?? 0, queueMs: 0, runMs: 0 };
  return { id, row, protocol: 'import', reason: 'elsewhere', propensity: 1, epoch: 0, status, rows, ...times, ...none };
}
