import type { ConversionReport, MeasuredVersion } from '../../sdk/src/client.ts';
import { cleanLine, count, formatBytes, formatMs, type Paint, table } from './terminal.ts';

/** How like the answers are, and what each version costs. */
export function reportText(report: ConversionReport, paint: Paint): string {
  const { rows, outputs, before, after, accuracy, tolerance } = report;
  const origins = [
    rows.golden > 0 ? `${rows.golden} of the golden set` : '',
    rows.example > 0 ? `${rows.example} of the example` : '',
    rows.reference > 0 ? `${rows.reference} of the reference set` : '',
    rows.drawn > 0 ? `${rows.drawn} drawn` : '',
  ].filter((part) => part !== '');
  const total = rows.golden + rows.example + rows.reference + rows.drawn;
  const lines = [
    `By       ${cleanLine(report.by)}`,
    `Compared ${count(total, 'row')}: ${origins.join(', ')}${rows.unanswered > 0 ? `; ${rows.unanswered} more were refused by the version as it is` : ''}`,
  ];
  if (tolerance !== null)
    lines.push(`Allowed  |difference| <= ${tolerance.absolute} + ${tolerance.relative} × |value before|`);
  const right = true;
  lines.push(
    '',
    table(
      [
        { title: 'output' },
        { title: 'largest difference', right },
        { title: 'beyond', right },
        { title: 'alike', right },
      ],
      outputs.map((one) => [
        cleanLine(one.name),
        one.largestDifference === null ? '-' : String(Number(one.largestDifference.toPrecision(3))),
        `${one.unequal} of ${one.values}`,
        percent(one.fidelity),
      ]),
      paint,
    ),
    table(
      [{ title: '' }, { title: 'before', right }, { title: 'after', right }, { title: 'factor', right }],
      costs(before, after),
      paint,
    ).trimEnd(),
  );
  if (accuracy !== null) {
    lines.push(
      '',
      `Right    ${percent(accuracy.before)} before, ${percent(accuracy.after)} after, by ${cleanLine(accuracy.output)} against ${cleanLine(accuracy.truth)} on ${count(accuracy.rows, 'row')}`,
    );
  }
  return lines.join('\n');
}

function costs(before: MeasuredVersion, after: MeasuredVersion): string[][] {
  const rows: [string, number | null, number | null, (value: number) => string][] = [
    ['size', before.sizeBytes, after.sizeBytes, formatBytes],
    ['memory', before.memoryBytes, after.memoryBytes, formatBytes],
    ['one row', before.rowMs, after.rowMs, formatMs],
    [count(before.batchRows, 'row'), before.batchMs, after.batchMs, formatMs],
    ['processor for 1,000 rows', before.cpuMsPerThousandRows, after.cpuMsPerThousandRows, formatMs],
    ['energy for 1,000 rows', before.joulesPerThousandRows, after.joulesPerThousandRows, (value) => `${value} J`],
  ];
  return [
    ['engine', before.engine, after.engine, ''],
    ...rows.map(([name, a, b, form]) => [
      name,
      a === null ? 'not told here' : form(a),
      b === null ? 'not told here' : form(b),
      a === null || b === null || b === 0 ? '' : `${Number((a / b).toPrecision(3))}x`,
    ]),
  ];
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}
