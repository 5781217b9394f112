import type { Call } from '../../base/access/call.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { assertLogAccess } from '../predictions/log-access.ts';
import type { ColumnProfile } from './column-profile.ts';
import { ddQuantile } from './dd-sketch.ts';
import { hllEstimate } from './hyper-log-log.ts';
import { varianceOf } from './moments.ts';
import * as store from './profile-store.ts';
import { type ProfileWindow, readWindow } from './profile-window.ts';
import { type ReferenceOrigin, readReference, rowsOf } from './reference-store.ts';
import { publishedValues } from './top-values.ts';
import { meanVector, projectedCovariance } from './vector-summary.ts';

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
  /** Of vectors: the mean, and the covariance as seen through a fixed random projection to eight dimensions. */
  readonly vector: { dimensions: number; mean: number[]; covariance: number[][] | null } | null;
};

export type ShownProfiles = {
  readonly endpoint: string;
  readonly from: string;
  readonly to: string;
  readonly slice: string;
  readonly versions: ProfileWindow['versions'];
  readonly predictions: number;
  readonly failed: number;
  readonly rows: number;
  readonly profiled: number;
  readonly unrecorded: number;
  /** Different rows of inputs among those that profiles saw, within some 1.6 %. */
  readonly distinctRows: number | null;
  readonly slices: string[];
  /** What the values are compared with; null where there is no reference, or several versions answered. */
  readonly reference: { origin: ReferenceOrigin; rows: number; revision: number; madeAt: string } | null;
  readonly columns: (ShownProfile & { readonly reference: ShownProfile | null })[];
};

export type ProfileAsked = {
  since?: string;
  until?: string;
  last?: number;
  column?: string;
  slice?: string;
  version?: number;
};

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
    /** The profile of a time, or of the last so many rows, merged from panes; its ends are rounded out to whole ones. */
    async show(call: Call, endpoint: string, asked: ProfileAsked): Promise<ShownProfiles> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const projectId = call.project.id;
      const { column, slice = '', version } = asked;
      const window = await readWindow(database.db, {
        projectId,
        endpoint,
        slice,
        version,
        nowMs: clock.now().getTime(),
        fromMs: asked.since === undefined ? undefined : Date.parse(asked.since),
        toMs: asked.until === undefined ? undefined : Date.parse(asked.until),
        lastRows: asked.last,
        columns: column === undefined ? undefined : namesOf(column),
      });
      const meant = column === undefined ? undefined : namesOf(column).find((name) => window.columns.has(name));
      const columns = [...window.columns].filter(([name]) => column === undefined || name === meant);
      if (column !== undefined && columns.length === 0 && window.rows > 0) {
        throw new SlipwayError('invalid_request', `There is no profile of ${column.slice(0, 80)} in this time`, {
          hint: `\`slipway profile ${endpoint}\` lists the columns; a field that the policy drops has none.`,
        });
      }
      const only = window.versions.length === 1 ? window.versions[0]! : null;
      const reference =
        only === null ? null : await readReference(database.db, { projectId, versionDigest: only.digest });
      const { predictions, failed, rows, profiled, unrecorded } = window;
      return {
        endpoint,
        from: new Date(window.fromMs).toISOString(),
        to: new Date(window.toMs).toISOString(),
        slice,
        versions: window.versions,
        predictions,
        failed,
        rows,
        profiled,
        unrecorded,
        distinctRows: window.wholeRows === null ? null : Math.round(hllEstimate(window.wholeRows.distinct)),
        slices: await store.listSlices(database.db, projectId, endpoint),
        reference:
          reference === null
            ? null
            : {
                origin: reference.origin,
                rows: rowsOf(reference.columns),
                revision: reference.revision,
                madeAt: reference.madeAt,
              },
        columns: columns
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, profile]) => {
            const before = reference?.columns.get(name);
            return {
              ...showProfile(name, profile),
              reference: before === undefined ? null : showProfile(name, before),
            };
          }),
      };
    },
  };
}

/** What a column may be meant by: its name, or that without its side. */
function namesOf(column: string): string[] {
  return [column, `input.${column}`, `output.${column}`];
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
    vector:
      profile.vector === null
        ? null
        : {
            dimensions: profile.vector.dimensions,
            mean: [...meanVector(profile.vector)],
            covariance: projectedCovariance(profile.vector),
          },
  };
}
