import { join } from 'node:path';
import { type BodyForm, writeBodies } from './bodies.ts';
import type { Contender } from './contenders.ts';
import { applyLoad, type LoadResult } from './load.ts';
import { rounded, type Spread, spreadOf } from './statistics.ts';

export type Case = { readonly form: BodyForm; readonly rows: number; readonly connections: number };

export type Measured = {
  readonly contender: string;
  readonly requestsPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly p999Ms: Spread;
  readonly maxMs: Spread;
  readonly refused: number;
  readonly socketErrors: number;
  /** Requests per second over those of the reference in the same round. */
  readonly ratio: Spread | null;
  /** CPU time of one request in microseconds, by process and mode. */
  readonly cpuUsPerRequest: Readonly<Record<string, { user: number; system: number }>>;
};

export type CaseResult = Case & { readonly measured: readonly Measured[] };

export type Plan = {
  readonly seconds: number;
  readonly rounds: number;
  readonly warmUpSeconds: number;
  readonly cores: string;
  readonly folder: string;
  /** The name of the contender that ratios are against. */
  readonly reference: string;
};

type Round = { result: LoadResult; cpu: Record<string, { user: number; system: number }> };

/**
 * Every round loads each contender once, one after the other, and a ratio is between two of the same round: what slows the machine
 * down for a while slows all of them.
 */
export async function compare(contenders: readonly Contender[], one: Case, plan: Plan): Promise<CaseResult> {
  const bodies = join(plan.folder, `${one.form}-${one.rows}.bodies`);
  writeBodies(bodies, one.form, one.rows);
  const running = contenders.filter((contender) => contender.url(one.form) !== null);
  const load = (contender: Contender, seconds: number): Promise<LoadResult> =>
    applyLoad({ url: contender.url(one.form)!, bodies, connections: one.connections, seconds, cores: plan.cores });
  const rounds = new Map<Contender, Round[]>(running.map((contender) => [contender, []]));
  for (const contender of running) await load(contender, plan.warmUpSeconds);
  for (let round = 0; round < plan.rounds; round++) {
    for (const contender of running) {
      const before = contender.tree.cpuTimes();
      const result = await load(contender, plan.seconds);
      rounds
        .get(contender)!
        .push({ result, cpu: cpuPerRequest(contender, before, result.requestsPerSecond * plan.seconds) });
    }
  }
  const reference = [...rounds].find(([contender]) => contender.name === plan.reference)?.[1];
  return { ...one, measured: [...rounds].map(([contender, all]) => summarize(contender.name, all, reference)) };
}

function cpuPerRequest(
  contender: Contender,
  before: ReturnType<Contender['tree']['cpuTimes']>,
  requests: number,
): Record<string, { user: number; system: number }> {
  const spent: Record<string, { user: number; system: number }> = {};
  for (const [pid, { name, userMs, systemMs }] of contender.tree.cpuTimes()) {
    spent[name] ??= { user: 0, system: 0 };
    const of = spent[name];
    of.user += ((userMs - (before.get(pid)?.userMs ?? 0)) * 1000) / requests;
    of.system += ((systemMs - (before.get(pid)?.systemMs ?? 0)) * 1000) / requests;
  }
  return spent;
}

function summarize(contender: string, all: readonly Round[], reference: readonly Round[] | undefined): Measured {
  const of = (pick: (result: LoadResult) => number): Spread => spreadOf(all.map(({ result }) => pick(result)));
  const cpu: Record<string, { user: number; system: number }> = {};
  for (const name of Object.keys(all[0]!.cpu)) {
    const mean = (mode: 'user' | 'system'): number =>
      rounded(all.reduce((sum, round) => sum + (round.cpu[name]?.[mode] ?? 0), 0) / all.length);
    cpu[name] = { user: mean('user'), system: mean('system') };
  }
  const rate = (round: Round): number => round.result.requestsPerSecond;
  return {
    contender,
    requestsPerSecond: of((result) => result.requestsPerSecond),
    p50Ms: of((result) => result.p50Ms),
    p99Ms: of((result) => result.p99Ms),
    p999Ms: of((result) => result.p999Ms),
    maxMs: of((result) => result.maxMs),
    refused: all.reduce((sum, { result }) => sum + result.refused, 0),
    socketErrors: all.reduce((sum, { result }) => sum + result.socketErrors, 0),
    ratio: reference ? spreadOf(all.map((round, i) => rate(round) / rate(reference[i]!))) : null,
    cpuUsPerRequest: cpu,
  };
}
