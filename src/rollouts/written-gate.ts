/** A gate as people write it, with what they left out. */
import type { Gate, GateRole } from './gates/gate.ts';
import type { GATE_SCHEMAS } from './plan-schema.ts';
import { CEILING, DEFAULT_ALPHA, SHADOW_DEFAULTS, SHARES } from './strategies.ts';
import { milliseconds, share, type Written } from './written-values.ts';

type GateKind = keyof typeof GATE_SCHEMAS;

const ROLES: { readonly [K in GateKind]: GateRole } = {
  'rate-ratio': 'guardrail',
  exceedance: 'guardrail',
  'mean-difference': 'guardrail',
  'output-shift': 'signal',
  ceiling: 'tripwire',
  'sample-ratio': 'tripwire',
  shadow: 'guardrail',
  'paired-accuracy': 'guardrail',
  golden: 'guardrail',
  external: 'guardrail',
  quantile: 'report',
};

export function gateOf(written: Written): Gate {
  const kind = written['kind'] as GateKind;
  const named = written['metric'] ?? written['level'] ?? written['output'] ?? written['of'];
  const number = <T>(key: string, otherwise: T): number | T => {
    const given = written[key];
    return given === undefined ? otherwise : (given as number | T);
  };
  const base = {
    name: String(written['name'] ?? (named === undefined ? kind : `${kind}-${named}`)),
    role: (written['role'] as GateRole | undefined) ?? ROLES[kind],
  };
  const alpha = number('alpha', DEFAULT_ALPHA);
  const bySlice = written['bySlice'] === true;
  switch (kind) {
    case 'rate-ratio':
      return {
        kind,
        ...base,
        metric: String(written['metric'] ?? 'errors'),
        failMargin: number('failMargin', 1.25),
        passMargin: number<number | null>('passMargin', 2),
        passBelow: share<number | null>(written['passBelow'], null),
        alpha,
        bySlice,
      };
    case 'exceedance':
      return {
        kind,
        ...base,
        level: written['level'] as 'p50' | 'p95' | 'p99',
        failMargin: number('failMargin', 1.5),
        passMargin: number<number | null>('passMargin', base.role === 'guardrail' ? 2 : null),
        alpha,
        bySlice,
      };
    case 'mean-difference': {
      const failMargin = number('failMargin', 0);
      return {
        kind,
        ...base,
        metric: String(written['metric']),
        harm: (written['harm'] as 'increase' | 'decrease' | 'either' | undefined) ?? 'either',
        failMargin,
        passMargin: number<number | null>('passMargin', failMargin),
        alpha,
        expectedTotal: number('expectedTotal', 10_000),
      };
    }
    case 'output-shift':
      return {
        kind,
        ...base,
        output: String(written['output']),
        margin: number('margin', 3),
        alpha: number('alpha', 0.01),
      };
    case 'ceiling':
      return {
        kind,
        ...base,
        consecutiveErrors: number<number | null>('consecutiveErrors', CEILING.consecutiveErrors),
        errorRate:
          written['errorRate'] === undefined ? CEILING.errorRate : share<number | null>(written['errorRate'], null),
        minCalls: number('minCalls', CEILING.minCalls),
      };
    case 'sample-ratio':
      return {
        kind,
        ...base,
        of: (written['of'] as 'assignments' | 'outcomes' | undefined) ?? 'assignments',
        alpha: number('alpha', SHARES.alpha),
      };
    case 'shadow':
      return {
        kind,
        ...base,
        maxExcessFlips: share(written['maxExcessFlips'], 0.005),
        maxBias: number<number | null>('maxBias', null),
        minPairs: number('minPairs', SHADOW_DEFAULTS.minPairs),
        minCoverage: share(written['minCoverage'], 0.8),
        maxLatencyRatio: number('maxLatencyRatio', 1.5),
        alpha,
      };
    case 'paired-accuracy':
      return {
        kind,
        ...base,
        failMargin: number('failMargin', 1),
        passMargin: number<number | null>('passMargin', 1.5),
        alpha,
      };
    case 'golden':
      return { kind, ...base, minCases: number('minCases', 1) };
    case 'external': {
      const prometheus = written['prometheus'] as { url: string; query: string } | undefined;
      const webhook = written['webhook'] as { url: string } | undefined;
      return {
        kind,
        ...base,
        source: prometheus ? { kind: 'prometheus', ...prometheus } : { kind: 'webhook', url: webhook!.url },
        timeoutMs: milliseconds(written['timeout'], 5000),
        everyMs: milliseconds(written['every'], 60_000),
        failAbove: number<number | null>('failAbove', null),
        failBelow: number<number | null>('failBelow', null),
        passAfter: number('passAfter', 3),
        failAfter: number('failAfter', 2),
      };
    }
    case 'quantile':
      return { kind, ...base, levels: (written['levels'] as number[] | undefined) ?? [0.5, 0.95, 0.99], alpha };
  }
}
