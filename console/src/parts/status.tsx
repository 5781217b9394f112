import type { ReactNode } from 'react';

export type Tone = 'good' | 'busy' | 'warn' | 'bad' | 'unknown';

/** Form and word say it, colour helps. `next` and `left` are of steps: to come, and never reached. */
const SHAPES: Record<Tone | 'next' | 'left', string> = {
  good: 'M2 6.5 5 9.5 10 3',
  busy: 'M6 2.5a3.5 3.5 0 1 1-3.5 3.5',
  warn: 'M6 2v5M6 9.4v.2',
  bad: 'M3 3l6 6M9 3 3 9',
  next: 'M6 3.2a2.8 2.8 0 1 1-.01 0',
  left: 'M3 6h6',
  unknown: 'M4 4.5a2 2 0 1 1 2.6 1.9Q6 6.6 6 7.4M6 9.6v.1',
};

export function Mark({ tone }: { tone: keyof typeof SHAPES }) {
  return (
    <svg className={`mark ${tone}`} viewBox="0 0 12 12" aria-hidden="true">
      <path d={SHAPES[tone]} />
    </svg>
  );
}

export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={`status ${tone}`}>
      <Mark tone={tone} />
      {children}
    </span>
  );
}

export function toneOf(state: string): Tone {
  if (['ready', 'passed', 'pass', 'PASS', 'live', 'promoted', 'done', 'answered'].includes(state)) return 'good';
  if (
    [
      'starting',
      'updating',
      'loading',
      'warming',
      'pending',
      'validating',
      'CONTINUE',
      'running',
      'now',
      'draining',
      'provisioning',
      'ramping',
      'baking',
      'soaking',
    ].includes(state)
  )
    return 'busy';
  if (['failed', 'fail', 'FAIL', 'quarantined', 'rolled-back', 'aborted'].includes(state)) return 'bad';
  if (['warn', 'restarting', 'INVALID', 'INCONCLUSIVE', 'paused', 'unloaded'].includes(state)) return 'warn';
  return 'unknown';
}
