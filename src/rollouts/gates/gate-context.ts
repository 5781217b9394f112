/** What gates are judged by, and the sentences that they have in common. */
import type { StageEvidence } from '../../serving/endpoints/arm-evidence.ts';
import type { ExternalReading, MeanStratum, Observations, OutcomeEvidence, Stratum } from '../rollout.ts';
import type { Gate, GateReading, Verdict } from './gate.ts';

export type GateContext = {
  /** Finished stages of this epoch and the current one. */
  readonly strata: Readonly<Record<string, readonly Stratum[]>>;
  readonly means: Readonly<Record<string, readonly MeanStratum[]>>;
  /** Of the current stage. */
  readonly evidence: StageEvidence | null;
  /** Shares of units that the arms of the current stage should have, by name; null where traffic is not split. */
  readonly armShares: Readonly<Record<string, number>> | null;
  /** Most slices that are told apart. */
  readonly maxSlices: number;
  readonly outcomes: readonly OutcomeEvidence[];
  readonly golden: Observations['golden'];
  readonly external: Readonly<Record<string, ExternalReading>>;
  /** Tests that may end this rollout: they share the error probability, so that all of them together trip a healthy canary at most with alpha. */
  readonly failTests: number;
  readonly wallMs: number;
};

/** What a gate's judge says; name, kind and role are added by `judge.ts`. */
export type Judgement = Pick<GateReading, 'verdict' | 'text'> &
  Partial<Pick<GateReading, 'pauses' | 'measured' | 'bound' | 'lnE' | 'evidence' | 'remaining'>>;

export function readingOf(gate: Gate, judged: Judgement): GateReading {
  return {
    gate: gate.name,
    kind: gate.kind,
    role: gate.role,
    pauses: gate.role === 'signal',
    measured: null,
    bound: null,
    lnE: null,
    evidence: 0,
    remaining: null,
    ...judged,
  };
}

export const undecided = (text: string, more: Partial<Judgement> = {}): Judgement => ({
  verdict: 'CONTINUE' satisfies Verdict,
  text,
  ...more,
});

const WHOLE_NUMBERS = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function countText(count: number): string {
  return WHOLE_NUMBERS.format(count);
}

/** Three digits that matter, without an exponent. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? 'infinitely' : String(value);
  const size = Math.abs(value);
  if (size >= 1000) return countText(value);
  return String(Number(value.toPrecision(3)));
}

export function percentText(share: number): string {
  return `${numberText(share * 100)} %`;
}
