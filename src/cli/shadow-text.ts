/** What shadows answered beside the live version: how far they agree, where least, and the pairs that matter most. */
import type { RolloutShadow } from '../../sdk/src/client.ts';
import { percent } from './rollout-text.ts';
import { cleanLine, formatMs, type Paint, table } from './terminal.ts';

const SHOWN_SLICES = 3;
const SHOWN_PAIRS = 10;

/** One text a shadow; the noise floor comes last, for comparison. */
export function shadowTexts(shadows: readonly RolloutShadow[], paint: Paint): string[] {
  const isFloor = (one: RolloutShadow): boolean => one.name === 'noise-floor';
  return [...shadows.filter((one) => !isFloor(one)), ...shadows.filter(isFloor)].map((one) => shadowText(one, paint));
}

function shadowText(shadow: RolloutShadow, paint: Paint): string {
  const { name, pairs, flips, statuses, slices, worst, p99Ms } = shadow;
  const measures = (['kappa', 'concordance', 'similarity', 'bias'] as const).flatMap((measure) =>
    shadow[measure] === null ? [] : [`${measure} ${Number(shadow[measure].toPrecision(3))}`],
  );
  const others = Object.entries(statuses).filter(([status, count]) => count > 0 && status !== 'ok');
  const lines = [
    `${paint('bold', name)}  ${pairs.toLocaleString('en-US')} pairs, ${pairs === 0 ? 0 : percent(flips / pairs)} of the decisions differ${measures.map((one) => `, ${one}`).join('')}`,
    `  copies: ${[['ok', statuses['ok'] ?? 0], ...others].map(([status, count]) => `${count} ${status}`).join(', ')}`,
  ];
  if (p99Ms.live !== null && p99Ms.shadow !== null)
    lines.push(`  p99 ${formatMs(p99Ms.shadow)} beside ${formatMs(p99Ms.live)} live`);
  if (shadow.otherForms > 0) lines.push(`  ${shadow.otherForms} answers of another form`);
  for (const [code, count] of Object.entries(shadow.newErrors)) lines.push(`  ${count} failures with ${code}`);
  for (const one of slices.filter((slice) => slice.flips > 0 && slices.length > 1).slice(0, SHOWN_SLICES))
    lines.push(`  in ${cleanLine(one.slice)}: ${percent(one.flips / one.pairs)} of ${one.pairs} differ`);
  if (worst.length === 0 || name === 'noise-floor') return lines.join('\n');
  const pairsTable = table(
    [
      { title: 'Prediction' },
      { title: 'Live' },
      { title: 'Shadow' },
      { title: 'Cost', right: true },
      { title: 'Slice' },
    ],
    worst
      .slice(0, SHOWN_PAIRS)
      .map((one) => [
        one.predictionId,
        cleanLine(one.live),
        cleanLine(one.shadow),
        String(Number(one.cost.toPrecision(3))),
        cleanLine(one.slice ?? ''),
      ]),
    paint,
  );
  const more = worst.length > SHOWN_PAIRS ? `\n${worst.length - SHOWN_PAIRS} more with --json` : '';
  return `${lines.join('\n')}\n\n${pairsTable}${more}`;
}
