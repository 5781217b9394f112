import type { Tags, Validation, Version } from '../../sdk/src/types.ts';
import { adviceText } from './command-word.ts';
import { clean, cleanLine, formatBytes, formatMs, type Paint } from './terminal.ts';

export function tagsText(tags: Tags): string {
  const pairs = Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  return pairs.length === 0 ? 'none' : cleanLine(pairs.join(' '));
}

const MARKS = { passed: 'ok', failed: 'FAILED', skipped: 'skipped' } as const;

/** How validation went: its steps with times, then warnings; of a failure all but its reason, which stands above as the version's. */
export function validationText(validation: Validation, version: Version, paint: Paint): string {
  const width = Math.max(7, ...validation.steps.map((step) => step.name.length));
  const lines = validation.steps.map((step) => {
    const mark = paint(
      step.outcome === 'passed' ? 'green' : step.outcome === 'failed' ? 'red' : 'dim',
      MARKS[step.outcome],
    );
    const detail =
      step.detail === null || isSame(step.detail, version.statusReason) ? '' : `  ${cleanLine(step.detail)}`;
    return `  ${step.name.padEnd(width)} ${mark}  ${formatMs(step.durationMs)}${detail}`;
  });
  const memory = version.measuredMemoryBytes ?? validation.peakMemoryBytes;
  const facts = [
    validation.loadMs === null ? '' : `loads in ${formatMs(validation.loadMs)}`,
    validation.inferMs === null ? '' : `one run ${formatMs(validation.inferMs)}`,
    memory === null ? '' : `memory ${formatBytes(memory)}`,
    version.canBatch ? 'rows may share a run' : 'every call runs alone',
    version.canPad ? 'calls of different sizes are padded to share one' : '',
  ].filter((fact) => fact !== '');
  lines.push(`  ${facts.join(' · ')}`);
  if (validation.engine !== undefined)
    lines.push(`  runs on ${cleanLine(validation.engine.name)}: ${cleanLine(validation.engine.reason)}`);
  for (const { name, holds, detail } of validation.measures ?? []) {
    const mark = holds ? paint('green', 'holds') : paint('yellow', 'does not hold here');
    lines.push(`  kept apart by ${cleanLine(name)}: ${mark}, ${cleanLine(detail)}`);
  }
  for (const warning of validation.warnings) lines.push(`  ${paint('yellow', 'warning')} ${cleanLine(warning)}`);
  if (validation.outcome === 'failed') lines.push(...failureLines(validation, version, paint));
  return `${lines.join('\n')}\n`;
}

/** Whether one text says what the other does. */
function isSame(text: string, other: string | null): boolean {
  return other !== null && (other.includes(text.replace(/\.$/, '')) || text.includes(other));
}

function failureLines(validation: Validation, version: Version, paint: Paint): string[] {
  const ended =
    validation.exitSignal !== null
      ? `killed by ${validation.exitSignal}`
      : validation.exitCode !== null
        ? `ended with code ${validation.exitCode}`
        : null;
  const lines: string[] = [];
  if (validation.reason !== null && !isSame(validation.reason, version.statusReason))
    lines.push(`  ${paint('red', 'reason')} ${cleanLine(validation.reason)}`);
  if (ended !== null)
    lines.push(`  process ${ended}${validation.lastStep === null ? '' : ` during ${validation.lastStep}`}`);
  if (validation.stderr.trim() !== '') {
    lines.push('  its last words:');
    for (const line of clean(validation.stderr).trim().split('\n').slice(-8)) lines.push(`    ${line.slice(0, 300)}`);
  }
  if (validation.hint !== null) lines.push(`  ${paint('cyan', 'Fix:')} ${adviceText(cleanLine(validation.hint))}`);
  return lines;
}
