/**
 * What the recording thread does with rows: the policy first, then profiles, then the line of the log. Nothing here knows of threads; time and
 * files are handed in.
 */
import {
  addBoolean,
  addMissing,
  addNumber,
  addRow,
  addText,
  addVector,
  type OpenProfile,
  openProfile,
  sealProfile,
  WHOLE_ROWS,
} from '../profiles/column-profile.ts';
import type { HistogramEdges } from '../profiles/fixed-histogram.ts';
import { encodeProfile } from '../profiles/profile-codec.ts';
import { offerToReservoir } from '../profiles/reservoir.ts';
import { K_ANONYMITY, type TopValue } from '../profiles/top-values.ts';
import { applyAction, createTokens } from './apply-policy.ts';
import type { CellValue } from './cells.ts';
import {
  eventLine,
  headerLine,
  isDropped,
  type KeptRow,
  type RawRow,
  type StreamPolicy,
  subjectOf,
} from './event-line.ts';
import type { PaneLine } from './pane-writer.ts';
import { actionOf, DEFAULT_POLICY, type FieldAction, unfit } from './privacy-policy.ts';
import { jsonOf, openPane, type Pane, remember } from './recorded-pane.ts';
import { isNumeric, type RowBatch, type Stream, TO_PROFILE, WITHOUT_OUTPUTS } from './recorded-rows.ts';
import type { RecordingFile } from './recording-file.ts';

const MINUTE_MS = 60_000;
/** Minutes of one stream that are open at once; a row of another one closes the oldest. */
const MAX_PANES = 3;
/** A minute is closed this long after its end. */
const GRACE_MS = 5_000;
/** Values of one column that get profiles of their own; others share one. */
const MAX_SLICE_VALUES = 16;
const OTHER = '(other)';
/** Open profiles of all streams together; each takes up to some 20 kB. Beyond, slices and then streams go without. */
const MAX_PROFILES = 10_000;

type State = StreamPolicy & {
  sliceAt: readonly number[];
  edges: ReadonlyMap<string, HistogramEdges>;
  /** Inputs that are kept in some form: what makes two rows the same. */
  rowAt: readonly number[];
  readonly row: (CellValue | null | undefined)[];
  /** Values of each slice column that have profiles of their own; a bounded number, for as long as this runs. */
  readonly sliceValues: Map<number, Set<CellValue>>;
  readonly panes: Map<number, Pane>;
  /** By column: how often a value was seen, over all panes, for those that may become common. */
  readonly common: Map<TopValue, number>[];
};

export type RowRecorderDeps = {
  /** Appends a line to the log of a project's endpoint. */
  readonly append: (key: string, header: () => string, line: string) => void;
  /** Takes minutes that are over. */
  readonly take: (panes: readonly PaneLine[]) => void;
  readonly edgesOf: (versionDigest: string) => ReadonlyMap<string, HistogramEdges>;
  readonly nowMs: () => number;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Length of a pane; a minute unless told. */
  readonly paneMs?: number;
};

export type RowRecorder = {
  configure(file: RecordingFile): void;
  open(stream: Stream): void;
  /** Closes what is open of a stream and forgets it. */
  end(stream: number): void;
  add(batch: RowBatch): void;
  /** Closes minutes that are over. */
  tick(): void;
  close(): void;
  /** Profiles that could not be opened because there are too many. */
  readonly shed: number;
};

const NO_FILE: RecordingFile = { schema: 1, revision: 0, keys: {}, policies: {} };

/** @param fallbackKey of projects that the recording file does not know yet */
export function createRowRecorder(deps: RowRecorderDeps, fallbackKey: string): RowRecorder {
  const { paneMs = MINUTE_MS } = deps;
  const states = new Map<number, State>();
  let file = NO_FILE;
  let profiles = 0;
  let shed = 0;

  const configureState = (state: Pick<State, 'stream'> & Partial<State>): State => {
    const { stream } = state;
    const policy = file.policies[`${stream.project}/${stream.endpoint}`] ?? DEFAULT_POLICY;
    const places = (name: string | null): number => stream.columns.findIndex((column) => column.name === name);
    const actions = stream.columns.map(({ name, kind }): FieldAction => {
      const { action } = actionOf(policy, name);
      return unfit(action, kind) === null ? action : { action: 'drop' };
    });
    return Object.assign(state, {
      policy,
      tokens: createTokens(file.keys[stream.project] ?? fallbackKey),
      actions,
      keys: stream.columns.map(({ name }) => `,${JSON.stringify(name)}:`),
      rowAt: stream.columns.flatMap(({ side }, at) => (side === 'input' && actions[at]!.action !== 'drop' ? [at] : [])),
      row: [],
      unitAction: actionOf(policy, 'unit').action,
      subjectAt: places(policy.subject),
      joinAt: places(policy.joinKey),
      sliceAt: policy.slices.map(places).filter((at) => at >= 0),
    }) as State;
  };

  const closePane = (state: State, pane: Pane): PaneLine[] => {
    const { stream, policy, tokens } = state;
    state.panes.delete(pane.startMs);
    const lines: PaneLine[] = [];
    const hashOf = (value: string): string => tokens(value).slice(0, 16);
    if (!pane.slices.has('')) pane.slices.set('', []);
    for (const [slice, open] of pane.slices) {
      profiles -= open.length;
      const isWhole = slice === '';
      const columns: Record<string, string> = {};
      for (const [at, profile] of open.entries()) {
        if (profile.values + profile.missing === 0 || isDropped(state, at)) continue;
        // Who it is, is nobody's frequent value, however often they come.
        const isPerson = at === state.subjectAt || at === state.joinAt;
        const isCommon = (value: TopValue, count: number): boolean =>
          !isPerson && Math.max(count, state.common[at]!.get(value) ?? 0) >= K_ANONYMITY;
        const sealed = sealProfile(profile, hashOf, isCommon);
        columns[stream.columns[at]!.name] = Buffer.from(encodeProfile(sealed)).toString('base64');
      }
      if (isWhole && pane.wholeRows.values > 0) {
        columns[WHOLE_ROWS] = Buffer.from(encodeProfile(sealProfile(pane.wholeRows, hashOf))).toString('base64');
      }
      lines.push({
        project: stream.project,
        endpoint: stream.endpoint,
        model: stream.model,
        version: stream.version,
        versionDigest: stream.versionDigest,
        startMs: pane.startMs,
        slice,
        predictions: isWhole ? pane.predictions : 0,
        failed: isWhole ? pane.failed : 0,
        rows: isWhole ? pane.rows : 0,
        profiled: pane.profiled.get(slice) ?? 0,
        unrecorded: stream.unrecorded,
        columns,
        reservoir:
          isWhole && policy.sample > 0 && pane.reservoir.rows.length > 0
            ? {
                columns: stream.columns.filter((_column, at) => !isDropped(state, at)).map(({ name }) => name),
                rows: pane.reservoir.rows,
              }
            : null,
      });
    }
    return lines;
  };

  const endState = (state: State): void => {
    const lines = [...state.panes.values()].flatMap((pane) => closePane(state, pane));
    if (lines.length > 0) deps.take(lines);
  };

  const paneAt = (state: State, atMs: number): Pane => {
    const startMs = Math.floor(atMs / paneMs) * paneMs;
    const known = state.panes.get(startMs);
    if (known !== undefined) return known;
    // A clock that jumps about opens no end of minutes: one that is closed early is merged with its rest later.
    if (state.panes.size >= MAX_PANES) {
      const oldest = [...state.panes.values()].reduce((a, b) => (a.startMs <= b.startMs ? a : b));
      deps.take(closePane(state, oldest));
    }
    const pane = openPane(startMs);
    state.panes.set(startMs, pane);
    return pane;
  };

  const profilesOf = (state: State, pane: Pane, slice: string): OpenProfile[] | null => {
    const known = pane.slices.get(slice);
    if (known !== undefined) return known;
    const { columns } = state.stream;
    if (profiles + columns.length > MAX_PROFILES) {
      shed += columns.length;
      return null;
    }
    profiles += columns.length;
    const opened = columns.map((column) => openProfile(state.edges.get(column.name) ?? null));
    pane.slices.set(slice, opened);
    return opened;
  };

  /** Names of the slices that a row belongs to. A value has one of its own when it is common: a rare one may be somebody's. */
  const slicesOf = (state: State, values: KeptRow): string[] =>
    state.sliceAt.flatMap((at) => {
      const value = values[at];
      if (value === null || value === undefined || value instanceof Float64Array) return [];
      const own = state.sliceValues.get(at) ?? new Set();
      state.sliceValues.set(at, own);
      const isCommon = (state.common[at]!.get(value) ?? 0) >= K_ANONYMITY;
      if (isCommon && own.size < MAX_SLICE_VALUES) own.add(value);
      return [`${state.stream.columns[at]!.name}=${own.has(value) ? String(value).slice(0, 60) : OTHER}`];
    });

  const profileRow = (
    state: State,
    open: OpenProfile[],
    values: KeptRow,
    flags: number,
    atMs: number,
    isWhole: boolean,
  ): void => {
    const { columns } = state.stream;
    for (let at = 0; at < columns.length; at++) {
      const value = values[at];
      if (value === null) continue; // dropped
      if (value === undefined) {
        if (columns[at]!.side === 'input' || (flags & WITHOUT_OUTPUTS) === 0) addMissing(open[at]!, atMs);
        continue;
      }
      const profile = open[at]!;
      if (typeof value === 'number') addNumber(profile, value, atMs);
      else if (typeof value === 'string') addText(profile, value, atMs);
      else if (typeof value === 'boolean') addBoolean(profile, value, atMs);
      else addVector(profile, value, atMs);
      if (isWhole && typeof value !== 'object') remember(state.common[at]!, value);
    }
  };

  return {
    get shed() {
      return shed;
    },
    configure(next) {
      file = next;
      for (const state of states.values()) {
        // What was seen under the policy before is kept as that allowed, unless a field is dropped now: see isDropped.
        configureState(state);
      }
    },
    open(stream) {
      const common = stream.columns.map(() => new Map<TopValue, number>());
      const state = configureState({
        stream,
        panes: new Map(),
        common,
        sliceValues: new Map(),
        edges: deps.edgesOf(stream.versionDigest),
      });
      states.set(stream.id, state);
    },
    add(batch) {
      const state = states.get(batch.stream);
      if (state === undefined) return;
      const { columns } = state.stream;
      const { counts } = batch;
      if (counts.predictions > 0) {
        const pane = paneAt(state, counts.atMs);
        pane.predictions += counts.predictions;
        pane.failed += counts.failed;
        pane.rows += counts.rows;
      }
      const raw: (CellValue | undefined)[] = new Array(columns.length);
      const values: (CellValue | null | undefined)[] = new Array(columns.length);
      const missing = new Set(batch.missing);
      let atNumber = 0;
      let atOther = 0;
      for (let row = 0; row < batch.rows; row++) {
        for (let at = 0; at < columns.length; at++) {
          const column = columns[at]!;
          let value: CellValue | undefined;
          if (isNumeric(column)) {
            if (missing.size === 0 || !missing.has(atNumber)) {
              const x = batch.numbers[atNumber]!;
              value = column.kind === 'boolean' ? x !== 0 : x;
            }
            atNumber += 1;
          } else value = batch.others[atOther++];
          raw[at] = value;
          const action = state.actions[at]!;
          values[at] =
            value === undefined || action.action === 'keep' ? value : applyAction(action, value, state.tokens);
        }
        const atMs = batch.at[row]!;
        const flags = batch.flags[row]!;
        if ((flags & TO_PROFILE) !== 0 && state.policy.profile) profileInto(state, values, raw, flags, atMs);
        const meta = batch.metas[row];
        if (meta != null) {
          const { project, endpoint } = state.stream;
          const key = `${project}/${endpoint}/${state.stream.versionDigest.slice(-12)}-${file.revision}`;
          deps.append(key, () => headerLine(state), eventLine(state, meta, atMs, values, raw));
        }
      }
    },
    tick() {
      const over = deps.nowMs() - GRACE_MS - MINUTE_MS;
      for (const state of states.values()) {
        const closed = [...state.panes.values()].filter(
          // Also those of a clock that was ahead: it will not come to their end for long.
          (pane) => pane.startMs <= over || pane.startMs > deps.nowMs() + MINUTE_MS,
        );
        const lines = closed.flatMap((pane) => closePane(state, pane));
        if (lines.length > 0) {
          state.edges = deps.edgesOf(state.stream.versionDigest);
          deps.take(lines);
        }
      }
    },
    end(stream) {
      const state = states.get(stream);
      if (state === undefined) return;
      endState(state);
      states.delete(stream);
    },
    close() {
      for (const state of states.values()) endState(state);
    },
  };

  function profileInto(state: State, values: KeptRow, raw: RawRow, flags: number, atMs: number): void {
    const pane = paneAt(state, atMs);
    for (const slice of ['', ...slicesOf(state, values)]) {
      const open = profilesOf(state, pane, slice);
      if (open === null) continue;
      profileRow(state, open, values, flags, atMs, slice === '');
      pane.profiled.set(slice, (pane.profiled.get(slice) ?? 0) + 1);
    }
    if (state.rowAt.length > 0) {
      for (let k = 0; k < state.rowAt.length; k++) state.row[k] = values[state.rowAt[k]!];
      addRow(pane.wholeRows, state.row, atMs);
    }
    if (state.policy.sample > 0) {
      offerToReservoir(pane.reservoir, deps.random(), () => ({
        subject: subjectOf(state, raw),
        values: values.flatMap((value, at) => (isDropped(state, at) ? [] : [value == null ? null : jsonOf(value)])),
      }));
    }
  }
}
