/** The profile of a time, or of the last so many rows, merged from panes. */
import type { Db } from '../../base/db/database.ts';
import { type ColumnProfile, mergeProfiles, WHOLE_ROWS } from './column-profile.ts';
import * as store from './profile-store.ts';

export type WindowAsked = {
  readonly projectId: string;
  readonly endpoint: string;
  readonly nowMs: number;
  /** A day before `toMs` unless told. */
  readonly fromMs?: number | undefined;
  /** Now unless told. */
  readonly toMs?: number | undefined;
  /** The youngest panes that have this many rows together, instead of those since `fromMs`. */
  readonly lastRows?: number | undefined;
  /** Empty: all rows. */
  readonly slice: string;
  readonly version?: number | undefined;
  /** Names of columns; all unless told. */
  readonly columns?: readonly string[] | undefined;
};

export type ProfileWindow = {
  /** What was asked for, rounded out to whole panes. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly versions: readonly { readonly model: string; readonly version: number; readonly digest: string }[];
  readonly predictions: number;
  readonly failed: number;
  readonly rows: number;
  readonly profiled: number;
  readonly unrecorded: number;
  readonly columns: ReadonlyMap<string, ColumnProfile>;
  /** Whole rows of inputs; null where none were profiled. */
  readonly wholeRows: ColumnProfile | null;
};

type Part = { readonly span: store.Span; readonly fromMs: number; readonly toMs: number };

const DAY_MS = 86_400_000;
/** A window of this length begins at a whole hour: the minutes of one hour are more to read than two days of hours. */
const COARSE_MS = 6 * 3_600_000;

export async function readWindow(db: Db, asked: WindowAsked): Promise<ProfileWindow> {
  const { projectId, endpoint, slice, nowMs, toMs = nowMs, fromMs = toMs - DAY_MS } = asked;
  const of = { projectId, endpoint, slice };
  const parts =
    asked.lastRows === undefined ? panesOf(fromMs, toMs, nowMs) : await lastPanes(db, of, toMs, asked.lastRows);
  const columns = new Map<string, ColumnProfile>();
  const versions = new Map<string, ProfileWindow['versions'][number]>();
  const total = { predictions: 0, failed: 0, rows: 0, profiled: 0, unrecorded: 0 };
  const wanted = asked.columns === undefined ? undefined : [...asked.columns, WHOLE_ROWS];
  for (const part of parts) {
    const filter = { ...of, ...part };
    const panes = (await store.listPanes(db, filter)).filter(
      (pane) => asked.version === undefined || pane.version === asked.version,
    );
    for (const pane of panes) {
      versions.set(pane.version_digest, { model: pane.model, version: pane.version, digest: pane.version_digest });
      for (const name of ['predictions', 'failed', 'rows', 'profiled'] as const) total[name] += Number(pane[name]);
      total.unrecorded = Math.max(total.unrecorded, pane.unrecorded);
    }
    const digests = asked.version === undefined ? undefined : [...new Set(panes.map((pane) => pane.version_digest))];
    for (const [name, profile] of await store.readProfiles(db, filter, { columns: wanted, digests })) {
      const known = columns.get(name);
      columns.set(name, known === undefined ? profile : mergeProfiles(known, profile));
    }
  }
  const wholeRows = columns.get(WHOLE_ROWS) ?? null;
  columns.delete(WHOLE_ROWS);
  return {
    fromMs: Math.min(asked.lastRows === undefined ? fromMs : toMs, ...parts.map((part) => part.fromMs)),
    toMs: Math.max(toMs, ...parts.map((part) => (toMs >= nowMs ? toMs : part.toMs))),
    versions: [...versions.values()],
    ...total,
    columns,
    wholeRows,
  };
}

/**
 * The panes that cover a time: whole days, hours at both ends of them, and minutes at the ends of those. Where the finer ones are no longer
 * kept, the ends are rounded out to the coarser. The pane of today has nothing yet of what comes: a time up to now takes it whole.
 */
export function panesOf(askedFromMs: number, askedToMs: number, nowMs: number): Part[] {
  const isCoarse = askedToMs - askedFromMs >= COARSE_MS;
  const fromMs = isCoarse ? Math.floor(askedFromMs / store.SPAN_MS.hour) * store.SPAN_MS.hour : askedFromMs;
  const toMs = askedToMs >= nowMs ? Math.ceil(askedToMs / DAY_MS) * DAY_MS : askedToMs;
  const parts: Part[] = [];
  const cover = (from: number, to: number, spans: readonly store.Span[]): void => {
    const [span, ...finer] = spans;
    if (span === undefined || from >= to) return;
    const size = store.SPAN_MS[span];
    const down = Math.floor(from / size) * size;
    const up = Math.ceil(to / size) * size;
    const isKept = finer.length > 0 && from >= nowMs - store.KEPT_DAYS[finer[0]!] * DAY_MS;
    if (!isKept) {
      parts.push({ span, fromMs: down, toMs: up });
      return;
    }
    const first = Math.ceil(from / size) * size;
    const last = Math.floor(to / size) * size;
    if (first >= last) {
      cover(from, to, finer);
      return;
    }
    cover(from, first, finer);
    parts.push({ span, fromMs: first, toMs: last });
    cover(last, to, finer);
  };
  cover(fromMs, toMs, ['day', 'hour', 'minute']);
  return parts;
}

/** The youngest whole hours that have so many rows, of the oldest of them only the minutes that it takes. */
async function lastPanes(
  db: Db,
  of: Pick<store.PaneFilter, 'projectId' | 'endpoint' | 'slice'>,
  toMs: number,
  rows: number,
): Promise<Part[]> {
  const youngest = async (span: store.Span, from: number, to: number, wanted: number) => {
    const panes = await store.listPanes(db, { ...of, span, fromMs: from, toMs: to });
    let found = 0;
    let startMs = to;
    for (const pane of panes.reverse()) {
      if (found >= wanted && Number(pane.start_ms) < startMs) break;
      found += Number(pane.profiled);
      startMs = Number(pane.start_ms);
    }
    return { found, startMs };
  };
  const hours = await youngest('hour', 0, toMs, rows);
  if (hours.found === 0) return [];
  const firstEndMs = hours.startMs + store.SPAN_MS.hour;
  const later = await youngest('hour', firstEndMs, toMs, Number.POSITIVE_INFINITY);
  const minutes = await youngest('minute', hours.startMs, Math.min(firstEndMs, toMs), rows - later.found);
  const part: Part =
    minutes.found >= rows - later.found
      ? { span: 'minute', fromMs: minutes.startMs, toMs: firstEndMs }
      : { span: 'hour', fromMs: hours.startMs, toMs: firstEndMs };
  return later.found === 0 ? [part] : [part, { span: 'hour', fromMs: firstEndMs, toMs }];
}
