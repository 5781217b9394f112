/** Gates on what is measured elsewhere: the golden set, external metrics; and quantiles for those who watch. */
import { LATENCY_EDGES_MS } from '../../serving/endpoints/arm-evidence.ts';
import { quantileOfCounts } from '../statistics/quantile-sequence.ts';
import { CANARY, CONTROL } from '../strata.ts';
import type { ExternalGate, GoldenGate, QuantileGate } from './gate.ts';
import { countText, type GateContext, type Judgement, numberText, percentText, undecided } from './gate-context.ts';

/** The set is part of the version, so more evidence will not come: without it nothing is passed. */
export function judgeGolden(gate: GoldenGate, context: GateContext): Judgement {
  const { golden } = context;
  if (golden === null || golden.cases < gate.minCases)
    return {
      verdict: 'INCONCLUSIVE',
      evidence: golden?.cases ?? 0,
      bound: gate.minCases,
      text: `The version has ${countText(golden?.cases ?? 0)} golden cases and ${countText(gate.minCases)} are needed`,
    };
  const common = { measured: golden.passed, bound: golden.cases, evidence: golden.cases };
  const told = `${countText(golden.passed)} of ${countText(golden.cases)} golden cases are answered as they should be`;
  return golden.passed === golden.cases
    ? { ...common, verdict: 'PASS', text: told }
    : { ...common, verdict: 'FAIL', text: told };
}

/** Readings older than so many intervals are none. */
const STALE_INTERVALS = 3;

/** Consecutive readings, newest first. An outage, or readings that stopped, are INVALID: neither good nor bad. */
export function judgeExternal(gate: ExternalGate, context: GateContext): Judgement {
  const values = context.external[gate.name]?.values ?? [];
  const [newest] = values;
  if (newest === undefined) return undecided(`${gate.name} was not read yet`);
  if (newest.kind === 'outage')
    return { verdict: 'INVALID', evidence: values.length, text: `${gate.name} cannot be read: ${newest.reason}` };
  // The clock may have stepped back since: then a reading looks as if it were of the future, and is new.
  const ageMs = context.wallMs - newest.atMs;
  if (ageMs > STALE_INTERVALS * gate.everyMs + gate.timeoutMs)
    return {
      verdict: 'INVALID',
      evidence: values.length,
      text: `${gate.name} was last read ${countText(ageMs / 1000)} s ago`,
    };
  const isBad = (value: number): boolean =>
    !Number.isFinite(value) ||
    (gate.failAbove !== null && value > gate.failAbove) ||
    (gate.failBelow !== null && value < gate.failBelow);
  if (!Number.isFinite(newest.value))
    return { verdict: 'INVALID', evidence: values.length, text: `${gate.name} is no number` };
  const isNewestBad = isBad(newest.value);
  const run = values.findIndex((one) => one.kind === 'outage' || isBad(one.value) !== isNewestBad);
  const inRow = run === -1 ? values.length : run;
  const bound =
    isNewestBad && gate.failAbove !== null && newest.value > gate.failAbove ? gate.failAbove : gate.failBelow;
  const common = { measured: newest.value, bound: bound ?? gate.failAbove, evidence: inRow };
  const told = `${gate.name} is ${numberText(newest.value)}, ${isNewestBad ? 'outside' : 'within'} its limits ${countText(inRow)} times in a row`;
  if (isNewestBad && inRow >= gate.failAfter) return { ...common, verdict: 'FAIL', text: told };
  if (!isNewestBad && inRow >= gate.passAfter) return { ...common, verdict: 'PASS', text: told };
  return undecided(told, common);
}

export function reportQuantiles(gate: QuantileGate, context: GateContext): Judgement {
  const lines = [CANARY, CONTROL].map((name) => {
    const counts = context.evidence?.arms[name]?.latency ?? [];
    const told = gate.levels.map((level) => {
      const got = quantileOfCounts(LATENCY_EDGES_MS, counts, level, gate.alpha);
      const end = (ms: number): string => (Number.isFinite(ms) ? `${numberText(ms)} ms` : 'unknown');
      return got === null ? null : `p${numberText(level * 100)} ${end(got.low)} to ${end(got.high)}`;
    });
    return told.every((one) => one === null) ? `${name}: nothing timed yet` : `${name}: ${told.join(', ')}`;
  });
  const evidence = (context.evidence?.arms[CANARY]?.latency ?? []).reduce((sum, count) => sum + count, 0);
  return undecided(`${lines.join('; ')} (${percentText(1 - gate.alpha)} sure at every time)`, { evidence });
}
