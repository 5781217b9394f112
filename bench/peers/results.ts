/** What a run beside rivals found, as it is written to results/peers.json. */
import type { Machine } from '../machine.ts';
import { rounded, type Spread, spreadOf } from '../statistics.ts';
import { type PeerCase, type Target, targetOf } from './cases.ts';
import type { Run } from './rounds.ts';
import type { Served } from './served.ts';

export type PeerFigures = {
  readonly server: string;
  readonly kind: Served['kind'];
  readonly requestsPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly maxMs: Spread;
  /** Answers that were not 2xx (or not OK), and connections that broke, over all rounds. */
  readonly failed: number;
  readonly requests: number;
  readonly loadCoresBusy: number;
};

export type PeerRatio = {
  readonly slipway: string;
  readonly rival: string;
  /** Slipway's requests per second over the rival's in the same round. */
  readonly requests: Spread;
  /** Slipway's p99 over the rival's in the same round. */
  readonly p99: Spread;
  /** What is aimed at here, and whether the medians reach it; null where nothing is. */
  readonly target: { readonly text: string; readonly reached: boolean } | null;
};

export type PeerCaseResult = {
  readonly case: PeerCase;
  readonly figures: readonly PeerFigures[];
  readonly ratios: readonly PeerRatio[];
};

export type PeerCosts = {
  readonly server: string;
  readonly kind: Served['kind'];
  readonly note: string;
  readonly model: string;
  /** From launch to the first 200 on a prediction, over all times it was started. */
  readonly startS: Spread;
  /** PSS of all processes after the load. */
  readonly pssMb: Spread;
  readonly processes: number;
};

export type PeerResults = {
  readonly at: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: { readonly seconds: number; readonly rounds: number };
  readonly cases: readonly PeerCaseResult[];
  readonly costs: readonly PeerCosts[];
  /** Rivals that did not start, and what they said. */
  readonly failures: readonly { readonly server: string; readonly model: string; readonly reason: string }[];
};

type Head = Pick<PeerResults, 'at' | 'machine' | 'versions' | 'settings'>;
type Gathered = { one: PeerCase; runs: Map<string, { kind: Served['kind']; all: Run[] }>; ratios: PeerRatio[] };

export function createPeerResults(head: Head) {
  const gathered = new Map<string, Gathered>();
  const costs = new Map<string, { of: Omit<PeerCosts, 'startS' | 'pssMb'>; startS: number[]; pssMb: number[] }>();
  const failures: { server: string; model: string; reason: string }[] = [];

  return {
    /** The runs of one group of servers; Slipway's own figures are over the runs of every group. */
    add(one: PeerCase, runs: ReadonlyMap<Served, readonly Run[]>): void {
      const at: Gathered = gathered.get(one.title) ?? { one, runs: new Map(), ratios: [] };
      gathered.set(one.title, at);
      for (const [{ name, kind }, all] of runs) {
        const known = at.runs.get(name) ?? { kind, all: [] };
        at.runs.set(name, { kind, all: [...known.all, ...all] });
      }
      const of = (ours: boolean) => [...runs].filter(([served]) => (served.kind === 'slipway') === ours);
      for (const [slipway, mine] of of(true)) {
        for (const [rival, theirs] of of(false)) at.ratios.push(ratioOf(one, slipway.name, mine, rival.name, theirs));
      }
    },
    costs(served: Served, model: string): void {
      const key = `${served.name} ${model}`;
      const { name: server, kind, note } = served;
      const of = { server, kind, note, model, processes: served.tree.pids().length };
      const known = costs.get(key) ?? { of, startS: [], pssMb: [] };
      known.startS.push(served.startMs / 1000);
      known.pssMb.push(served.tree.pssBytes() / 1e6);
      costs.set(key, known);
    },
    failed(server: string, model: string, reason: string): void {
      failures.push({ server, model, reason: reason.slice(0, 500) });
    },
    summary(): PeerResults {
      return {
        ...head,
        cases: [...gathered.values()].map(({ one, runs, ratios }) => ({
          case: one,
          figures: [...runs].map(([server, { kind, all }]) => figuresOf(server, kind, all, head.settings.seconds)),
          ratios,
        })),
        costs: [...costs.values()].map(({ of, startS, pssMb }) => ({
          ...of,
          startS: spreadOf(startS),
          pssMb: spreadOf(pssMb),
        })),
        failures,
      };
    },
  };
}

function figuresOf(server: string, kind: Served['kind'], all: readonly Run[], seconds: number): PeerFigures {
  const of = (pick: (run: Run) => number): Spread => spreadOf(all.map(pick));
  return {
    server,
    kind,
    requestsPerSecond: of((run) => run.requestsPerSecond),
    p50Ms: of((run) => run.p50Ms),
    p99Ms: of((run) => run.p99Ms),
    maxMs: of((run) => run.maxMs),
    failed: all.reduce((sum, run) => sum + run.refused + run.socketErrors, 0),
    requests: Math.round(all.reduce((sum, run) => sum + run.requestsPerSecond * seconds, 0)),
    loadCoresBusy: rounded(Math.max(...all.map((run) => run.loadCoresBusy))),
  };
}

function ratioOf(
  one: PeerCase,
  slipway: string,
  mine: readonly Run[],
  rival: string,
  theirs: readonly Run[],
): PeerRatio {
  const requests = spreadOf(mine.map((run, i) => over(run.requestsPerSecond, theirs[i]!.requestsPerSecond)));
  const p99 = spreadOf(mine.map((run, i) => over(run.p99Ms, theirs[i]!.p99Ms)));
  const target = targetOf(slipway, rival, one.title);
  const p99Ms = spreadOf(mine.map((run) => run.p99Ms)).median;
  return {
    slipway,
    rival,
    requests,
    p99,
    target: target === undefined ? null : { text: textOf(target), reached: isReached(target, requests, p99, p99Ms) },
  };
}

/** A rival that answered nothing at all is infinitely behind, which JSON cannot say. */
const over = (mine: number, theirs: number): number => mine / Math.max(theirs, 1e-3);

function isReached(target: Target, requests: Spread, p99: Spread, p99Ms: number): boolean {
  return (
    requests.median >= target.ratio &&
    (target.p99Ms === undefined || p99Ms <= target.p99Ms) &&
    (target.p99Ratio === undefined || p99.median <= target.p99Ratio)
  );
}

function textOf(target: Target): string {
  const parts = [`≥ ${target.ratio}×`];
  if (target.p99Ms !== undefined) parts.push(`p99 ≤ ${target.p99Ms} ms`);
  if (target.p99Ratio !== undefined) parts.push('p99 the same or better');
  return parts.join(', ');
}
