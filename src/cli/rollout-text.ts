/** A rollout as a tree of its stages: where it is, what each gate measured, and what is to be done. */
import type { Rollout, RolloutGate, RolloutStage } from '../../sdk/src/client.ts';
import { cleanLine, formatAge, formatMs, type Paint, type Style } from './terminal.ts';

const MARKS: Readonly<Record<RolloutStage['state'], string>> = { done: '✔', now: '▶', next: '·', left: '-' };
const STYLES: Readonly<Record<RolloutGate['verdict'], Style>> = {
  PASS: 'green',
  FAIL: 'red',
  CONTINUE: 'dim',
  INCONCLUSIVE: 'yellow',
  INVALID: 'yellow',
};

export function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

export function rolloutText(rollout: Rollout, paint: Paint): string {
  const { from, to, weight } = rollout;
  const seen = weight.observed === null ? '' : `, ${percent(weight.observed)} seen`;
  const lines = [
    `${paint('bold', rollout.endpoint)}  ${from === null ? 'nothing' : `version ${from.version}`} → version ${to.version}  ${rollout.phase} since ${formatAge(rollout.since)}`,
    cleanLine(rollout.text),
    `weight ${percent(weight.asked)} asked${seen}`,
    '',
    ...rollout.stages.flatMap((stage) => stageLines(stage, paint)),
  ];
  if (rollout.next !== null) lines.push('', `Next: ${rollout.next}`);
  return lines.join('\n');
}

function stageLines(stage: RolloutStage, paint: Paint): string[] {
  const needs =
    stage.state === 'next' && stage.needsCalls !== null && stage.needsCalls > 0
      ? paint('dim', `  about ${stage.needsCalls.toLocaleString('en-US')} calls${timeText(stage.needsMs)}`)
      : '';
  const head = `${MARKS[stage.state]} ${stage.name}  ${stage.kind}${needs}`;
  if (stage.state !== 'now') return [head];
  return [head, ...stage.gates.map((gate) => gateLine(gate, paint))];
}

function gateLine(gate: RolloutGate, paint: Paint): string {
  const left =
    gate.remaining === null
      ? ''
      : ` (about ${gate.remaining.toLocaleString('en-US')} more${timeText(gate.remainingMs)})`;
  return `    ${paint(STYLES[gate.verdict], gate.verdict.padEnd(12))} ${gate.name}: ${cleanLine(gate.text)}${left}`;
}

function timeText(ms: number | null): string {
  return ms === null ? '' : `, ${formatMs(ms)} at today's traffic`;
}
