import { stringifyJson } from '../../sdk/src/json.ts';
import type { PredictRequest, Validation, Version } from '../../sdk/src/types.ts';
import { quoteForShell } from './shell.ts';
import { clean, cleanLine, formatBytes, formatMs, type Paint } from './terminal.ts';

const MARKS = { passed: 'ok', failed: 'FAILED', skipped: 'skipped' } as const;

/** How validation went: its steps with times, then warnings; everything there is about a failure. */
export function validationText(validation: Validation, version: Version, paint: Paint): string {
  const lines = validation.steps.map((step) => {
    const mark = paint(
      step.outcome === 'passed' ? 'green' : step.outcome === 'failed' ? 'red' : 'dim',
      MARKS[step.outcome],
    );
    const detail = step.detail === null ? '' : `  ${cleanLine(step.detail)}`;
    return `  ${step.name.padEnd(7)} ${mark}  ${formatMs(step.durationMs)}${detail}`;
  });
  const memory = version.measuredMemoryBytes ?? validation.peakMemoryBytes;
  const facts = [
    validation.loadMs === null ? '' : `loads in ${formatMs(validation.loadMs)}`,
    validation.inferMs === null ? '' : `one run ${formatMs(validation.inferMs)}`,
    memory === null ? '' : `memory ${formatBytes(memory)}`,
    version.canBatch ? 'rows may share a run' : 'every call runs alone',
  ].filter((fact) => fact !== '');
  lines.push(`  ${facts.join(' · ')}`);
  for (const warning of validation.warnings) lines.push(`  ${paint('yellow', 'warning')} ${cleanLine(warning)}`);
  if (validation.outcome === 'failed') lines.push(...failureLines(validation, paint));
  return `${lines.join('\n')}\n`;
}

function failureLines(validation: Validation, paint: Paint): string[] {
  const ended =
    validation.exitSignal !== null
      ? `killed by ${validation.exitSignal}`
      : validation.exitCode !== null
        ? `ended with code ${validation.exitCode}`
        : null;
  const lines: string[] = [];
  if (validation.reason !== null) lines.push(`  ${paint('red', 'reason')} ${cleanLine(validation.reason)}`);
  if (ended !== null)
    lines.push(`  process ${ended}${validation.lastStep === null ? '' : ` during ${validation.lastStep}`}`);
  if (validation.stderr.trim() !== '') {
    lines.push('  its last words:');
    for (const line of clean(validation.stderr).trim().split('\n').slice(-8)) lines.push(`    ${line.slice(0, 300)}`);
  }
  if (validation.hint !== null) lines.push(`  ${paint('cyan', 'Fix:')} ${cleanLine(validation.hint)}`);
  return lines;
}

/** A command to paste that sends this request. */
export function curlText(inferenceUrl: string, project: string, endpoint: string, request: PredictRequest): string {
  const folder = project === 'default' ? '' : `/p/${encodeURIComponent(project)}`;
  const url = `${inferenceUrl}${folder}/endpoints/${encodeURIComponent(endpoint)}/predict`;
  return `curl -s ${url} -H 'content-type: application/json' \\\n  -d ${quoteForShell(stringifyJson(request))}`;
}
