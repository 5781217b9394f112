import type { Call } from '../../base/access/call.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { assertLogAccess } from '../predictions/log-access.ts';
import { type ColumnProfile, mergeProfiles } from './column-profile.ts';
import { ddQuantile } from './dd-sketch.ts';
import { hllEstimate } from './hyper-log-log.ts';
import { varianceOf } from './moments.ts';
import * as store from './profile-store.ts';
import { publishedValues } from './top-values.ts';

export const SHOWN_QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] as const;

/** A column's profile in numbers. Quantiles are within 1 % of the value, distinct values within some 1.6 %. */
export type ShownProfile = {
  readonly column: string;
  readonly values: number;
  readonly missing: number;
  readonly nan: number;
  readonly infinite: number;
  readonly zeros: number;
  readonly kinds: {
    readonly numbers: number;
    readonly texts: number;
    readonly booleans: number;
    readonly vectors: number;
  };
  /** Of numbers; of the lengths of texts and vectors. */
  readonly mean: number | null;
  readonly standardDeviation: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly quantiles: Record<string, number>;
  readonly distinct: number;
  /** Only values that at least ten predictions had. */
  readonly top: { readonly value: string; readonly count: number }[];
  readonly topError: number;
  readonly histogram: { readonly edges: number[]; readonly counts: number[]; readonly revision: number } | null;
  readonly text: { chars: number; letters: number; digits: number; spaces: number; beyondAscii: number } | null;
};

export type ShownProfiles = {
  readonly endpoint: string;
  readonly from: string;
  readonly to: string;
  readonly slice: string;
  readonly versions: { readonly model: string; readonly version: number; readonly digest: string }[];
  readonly predictions: number;
  readonly failed: number;
  readonly rows: number;
  readonly profiled: number;
  readonly unrecorded: number;
  readonly slices: string[];
  readonly columns: ShownProfile[];
};

const DAY_MS = 86_400_000;

export type ProfileService = ReturnType<typeof createProfileService>;

export function createProfileService({
  database,
  clock,
  dataDir,
}: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
}) {
  return {
    /** The profile of a time, merged from panes of the coarsest span that fits; its ends are rounded out to whole panes. */
    async show(
      call: Call,
      endpoint: string,
      asked: { since?: string; until?: string; column?: string; slice?: string; version?: number },
    ): Promise<ShownProfiles> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const nowMs = clock.now().getTime();
      const toMs = asked.until === undefined ? nowMs : Date.parse(asked.until);
      const fromMs = asked.since === undefined ? toMs - DAY_MS : Date.parse(asked.since);
      const slice = asked.slice ?? '';
      const projectId = call.project.id;
      const merged = new Map<string, ColumnProfile>();
      const total = { predictions: 0, failed: 0, rows: 0, profiled: 0, unrecorded: 0 };
      const versions = new Map<string, { model: string; version: number; digest: string }>();
      let [firstMs, lastMs] = [toMs, fromMs];
      for (const part of panesOf(fromMs, toMs)) {
        const filter = { projectId, endpoint, slice, ...part };
        for (const pane of await store.listPanes(database.db, filter)) {
          if (asked.version !== undefined && pane.version !== asked.version) continue;
          versions.set(pane.version_digest, { model: pane.model, version: pane.version, digest: pane.version_digest });
          for (const name of ['predictions', 'failed', 'rows', 'profiled'] as const) total[name] += Number(pane[name]);
          total.unrecorded = Math.max(total.unrecorded, pane.unrecorded);
          firstMs = Math.min(firstMs, Number(pane.start_ms));
          lastMs = Math.max(lastMs, Number(pane.start_ms) + store.SPAN_MS[part.span]);
        }
        const digest = asked.version === undefined ? undefined : [...versions.keys()][0];
        if (asked.version !== undefined && digest === undefined) continue;
        for (const [name, profile] of await store.readProfiles(
          database.db,
          { ...filter, versionDigest: digest },
          asked.column === undefined ? undefined : namesOf(asked.column),
        )) {
          const known = merged.get(name);
          merged.set(name, known === undefined ? profile : mergeProfiles(known, profile));
        }
      }
      if (asked.column !== undefined) {
        const meant = namesOf(asked.column).find((name) => merged.has(name));
        for (const name of merged.keys()) if (name !== meant) merged.delete(name);
      }
      if (asked.column !== undefined && merged.size === 0 && total.rows > 0) {
        throw new SlipwayError('invalid_request', `There is no profile of ${asked.column.slice(0, 80)} in this time`, {
          hint: `\`slipway profile ${endpoint}\` lists the columns; a field that the policy drops has none.`,
        });
      }
      return {
        endpoint,
        from: new Date(Math.min(firstMs, fromMs)).toISOString(),
        to: new Date(Math.max(lastMs, toMs)).toISOString(),
        slice,
        versions: [...versions.values()],
        ...total,
        slices: await store.listSlices(database.db, projectId, endpoint),
        columns: [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, profile]) => showProfile(name, profile)),
      };
    },
  };
}

/** What a column may be meant by: its name, or that without its side. */
function namesOf(column: string): string[] {
  return [column, `input.${column}`, `output.${column}`];
}

/** The panes that cover a time: whole days, hours at both ends of them, and minutes at the ends of those, as far as minutes are kept. */
export function panesOf(fromMs: number, toMs: number): { span: store.Span; fromMs: number; toMs: number }[] {
  const parts: { span: store.Span; fromMs: number; toMs: number }[] = [];
  const cover = (from: number, to: number, spans: readonly store.Span[]): void => {
    const [span, ...finer] = spans;
    if (span === undefined || from >= to) return;
    const size = store.SPAN_MS[span];
    if (finer.length === 0) {
      parts.push({ span, fromMs: Math.floor(from / size) * size, toMs: Math.ceil(to / size) * size });
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

export function showProfile(column: string, profile: ColumnProfile): ShownProfile {
  const { moments, sketch, top, histogram } = profile;
  const variance = varianceOf(moments);
  const quantiles: Record<string, number> = {};
  for (const q of SHOWN_QUANTILES) {
    const value = ddQuantile(sketch, q);
    // What the sketch says of the ends may lie beyond what there was.
    if (value !== null) quantiles[`p${Math.round(q * 100)}`] = Math.min(moments.max, Math.max(moments.min, value));
  }
  return {
    column,
    values: profile.values,
    missing: profile.missing,
    nan: profile.nan,
    infinite: profile.infinite,
    zeros: profile.zeros,
    kinds: {
      numbers: profile.numbers,
      texts: profile.texts,
      booleans: profile.booleans,
      vectors: profile.vectors,
    },
    mean: moments.n === 0 ? null : moments.mean,
    standardDeviation: variance === null || !Number.isFinite(variance) ? null : Math.sqrt(variance),
    min: moments.n === 0 ? null : moments.min,
    max: moments.n === 0 ? null : moments.max,
    quantiles,
    distinct: Math.round(hllEstimate(profile.distinct)),
    top: publishedValues(top),
    topError: top.error,
    histogram:
      histogram === null
        ? null
        : { edges: [...histogram.edges.at], counts: [...histogram.counts], revision: histogram.edges.revision },
    text: profile.text,
  };
}
