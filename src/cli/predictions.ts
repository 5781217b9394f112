import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeStream } from 'node:stream/web';
import type { LoggedPrediction, ShownPrediction } from '../../sdk/src/client.ts';
import { briefJson } from './brief-json.ts';
import { CliError } from './cli-error.ts';
import { importForeignLog } from './foreign-log.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName } from './name-check.ts';
import { cleanLine, count, formatMs, type Paint, table } from './terminal.ts';
import { RANGE_OPTIONS, readRange } from './time-options.ts';
import type { NounSpec, OptionSpec, VerbCall } from './verb.ts';

const ENDPOINT = { name: 'endpoint', help: 'the name it is served under', completes: 'endpoint' } as const;
const WHERE: OptionSpec = {
  flags: '--where <filter>',
  help: "such as output.score > 0.9 and input.country in ('DE', 'FR')",
};

export const predictions: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'Logged predictions of an endpoint, the youngest first',
      about:
        'Predictions are logged where the policy of the endpoint samples them: `slipway policy set`. A filter compares the columns input.… and output.… and what is told of each prediction (status, arm, unit, latencyMs, version, …) by =, !=, <, <=, >, >=, in, like, between, is null, joined by and, or, not.',
      examples: [
        [
          "slipway predictions list churn --since 1h --where 'output.score > 0.9' --limit 20",
          'the last twenty of an hour',
        ],
      ],
      args: [ENDPOINT],
      options: [...RANGE_OPTIONS, WHERE, ...LIST_OPTIONS],
      async run(call) {
        const endpoint = checkName('endpoint', call.args[0]!);
        const client = await call.client();
        const filter = filterOf(call);
        let lost = 0;
        const items = await listing(
          call,
          (options) => client.predictions.list(endpoint, { ...filter, ...options }),
          ({ leftOut }) => {
            lost = leftOut?.rows ?? 0;
          },
        );
        call.out.result('predictions.list', items, () => listText(items, call.out.paint));
        tellLost(call, lost);
        if (items.length === 0)
          call.out.note(`Nothing is logged that matches. \`slipway policy show ${endpoint}\` says what is logged.`);
      },
    },
    {
      name: 'show',
      summary: 'One logged prediction, with what was said of it',
      examples: [['slipway predictions show 0198f3c2-7a10-7def-8a44-0123456789ab', 'inputs, outputs, arm, feedback']],
      args: [{ name: 'id', help: 'its id, as X-Prediction-Id gave it' }],
      async run(call) {
        const client = await call.client();
        // The id of a row names the prediction and the row.
        const [, id, row] = /^(.*?)(?:\.(\d{1,9}))?$/.exec(call.args[0]!)!;
        const shown = await client.predictions.show(id!, { signal: call.signal });
        const rows = row === undefined ? shown.rows : shown.rows.filter((one) => one.row === Number(row));
        if (rows.length === 0) throw new CliError('notFound', `Prediction ${id} has no row ${row} in the log`);
        call.out.result('predictions.show', { ...shown, rows }, () => showText({ ...shown, rows }, call.out.paint));
      },
    },
    {
      name: 'export',
      summary: 'Logged predictions as one file: Parquet, CSV or JSON lines',
      examples: [
        ['slipway predictions export churn --since 7d --to preds.parquet', 'a week of them'],
        [
          'slipway predictions export churn --since 7d --feedback --to preds.csv',
          'with columns for what became of them',
        ],
      ],
      args: [ENDPOINT],
      options: [
        { flags: '--to <file>', help: '.parquet, .csv, .ndjson or .jsonl' },
        { flags: '--feedback', help: 'with truth, score, rating and correction of each' },
        ...RANGE_OPTIONS,
        WHERE,
      ],
      run: exportFile,
    },
    {
      name: 'import',
      summary: "Take another system's log of predictions",
      about:
        'For models that are served elsewhere, so that they are watched too: first say what may be kept (`slipway policy set NAME --file privacy.yaml --elsewhere`). Repeating an import changes nothing.',
      examples: [
        [
          'slipway predictions import churn capture.jsonl --format sagemaker --inputs age,plan --outputs score',
          'data capture of SageMaker, whose payloads have no names',
        ],
        ['slipway predictions import churn table.csv --format csv --id uuid --at time --outputs score', 'any table'],
      ],
      args: [ENDPOINT, { name: 'file', help: 'JSON lines, or CSV', completes: 'file' }],
      options: [
        { flags: '--format <name>', help: 'what wrote it', choices: ['sagemaker', 'cloudevents', 'seldon', 'csv'] },
        { flags: '--inputs <names>', help: 'names of inputs that come without, in their order' },
        { flags: '--outputs <names>', help: 'the same of outputs; of a CSV its columns that are outputs' },
        { flags: '--id <column>', help: 'column of ids in a CSV; id unless given' },
        { flags: '--at <column>', help: 'column of times in a CSV; at unless given' },
      ],
      changes: true,
      run: importForeignLog,
    },
    {
      name: 'hold',
      summary: 'Legal hold: nothing of the log of an endpoint goes until it is released',
      examples: [
        ['slipway predictions hold churn --reason "case 17"', 'neither retention nor erasure removes anything'],
      ],
      args: [ENDPOINT],
      options: [{ flags: '--reason <text>', help: 'why, for the record' }],
      changes: true,
      async run(call) {
        const reason = call.options.text('reason');
        if (reason === undefined) throw new CliError('usage', 'A hold needs its reason: --reason <text>');
        const client = await call.client();
        await client.predictions.hold(call.args[0]!, reason, { dryRun: call.dryRun, signal: call.signal });
        const data = { endpoint: call.args[0], reason, dryRun: call.dryRun };
        call.out.result('predictions.hold', data, () => `Nothing of the log of ${call.args[0]} goes from now on.`);
      },
    },
    {
      name: 'release',
      summary: 'Lift a legal hold',
      examples: [['slipway predictions release churn', 'retention goes on']],
      args: [ENDPOINT],
      changes: true,
      async run(call) {
        const client = await call.client();
        await client.predictions.release(call.args[0]!, { dryRun: call.dryRun, signal: call.signal });
        const data = { endpoint: call.args[0], dryRun: call.dryRun };
        call.out.result('predictions.release', data, () => `The log of ${call.args[0]} is held no longer.`);
      },
    },
  ],
};

function filterOf(call: VerbCall) {
  const where = call.options.text('where');
  return { ...readRange(call), ...(where === undefined ? {} : { where }) };
}

function listText(items: readonly LoggedPrediction[], paint: Paint): string {
  const values = (one: Record<string, unknown>): string => cleanLine(briefJson(one).text).slice(0, 60);
  return table(
    [
      { title: 'id' },
      { title: 'when' },
      { title: 'ver', right: true },
      { title: 'arm' },
      { title: 'status' },
      { title: 'took', right: true },
      { title: 'outputs' },
      { title: 'inputs' },
    ],
    items.map((item) => [
      `${item.id}.${item.row}`,
      item.at,
      String(item.version ?? '-'),
      cleanLine(item.arm ?? '-'),
      item.status,
      item.latencyMs === null ? '-' : formatMs(item.latencyMs),
      values(item.outputs),
      values(item.inputs),
    ]),
    paint,
  );
}

function showText({ endpoint, rows, feedback }: ShownPrediction, paint: Paint): string {
  const first = rows[0]!;
  const lines = [
    `${paint('bold', first.id)}  ${endpoint}, ${first.model ?? 'unknown model'}@${first.version ?? '?'}, ${first.at}`,
    `Status     ${first.status}${first.latencyMs === null ? '' : ` in ${formatMs(first.latencyMs)}`}`,
    `Arm        ${cleanLine(first.arm ?? 'none')}${first.reason === null ? '' : ` (${first.reason})`}`,
    ...(first.unit === null ? [] : [`Unit       ${cleanLine(first.unit)}`]),
    ...(first.shadowOf === null ? [] : [`Shadow of  ${first.shadowOf}`]),
    ...(first.requestId === null ? [] : [`Request    ${cleanLine(first.requestId)}`]),
  ];
  for (const row of rows) {
    lines.push('', `Row ${row.row}`);
    for (const [side, values] of [
      ['input', row.inputs],
      ['output', row.outputs],
    ] as const)
      for (const [name, value] of Object.entries(values))
        lines.push(`  ${side}.${cleanLine(name)}  ${cleanLine(briefJson(value).text)}`);
  }
  lines.push('', feedback.length === 0 ? 'Nothing was said of it yet.' : 'What was said of it');
  for (const one of feedback) {
    const row = one.row === null ? '' : ` of row ${one.row}`;
    lines.push(
      `  ${one.kind}${row}  ${cleanLine(briefJson(one.value).text)}  (${cleanLine(one.source)}, ${one.arrivedAt})`,
    );
  }
  return lines.join('\n');
}

const FORMATS: Readonly<Record<string, 'parquet' | 'csv' | 'ndjson'>> = {
  parquet: 'parquet',
  csv: 'csv',
  ndjson: 'ndjson',
  jsonl: 'ndjson',
};

async function exportFile(call: VerbCall): Promise<void> {
  const endpoint = checkName('endpoint', call.args[0]!);
  const to = call.options.text('to');
  const format = FORMATS[/\.([a-z]+)$/i.exec(to ?? '')?.[1]?.toLowerCase() ?? ''];
  if (to === undefined || format === undefined) {
    throw new CliError(
      'usage',
      to === undefined ? 'Where to? --to <file>' : `${to} has no ending that says its format`,
      {
        hint: 'Its ending says the format: .parquet, .csv, .ndjson or .jsonl.',
      },
    );
  }
  const client = await call.client();
  const found = await client.predictions.export(endpoint, {
    ...filterOf(call),
    format,
    feedback: call.options.flag('feedback'),
    signal: call.signal,
  });
  if (found === null) {
    call.out.result(
      'predictions.export',
      { endpoint, file: null, rows: 0 },
      () => 'Nothing is logged that matches; no file was written.',
    );
    return;
  }
  // A file with this name is whole: it gets the name last.
  const partial = `${to}.part`;
  try {
    await pipeline(Readable.fromWeb(found.body as NodeStream), createWriteStream(partial, { mode: 0o600 }), {
      signal: call.signal,
    });
    await rename(partial, to);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  const data = { endpoint, file: to, rows: found.rows, leftOut: found.leftOut };
  call.out.result('predictions.export', data, () => `Wrote ${count(found.rows, 'row')} to ${to}`);
  tellLost(call, found.leftOut);
}

function tellLost(call: VerbCall, rows: number): void {
  if (rows === 0) return;
  call.out.note(
    `${count(rows, 'row')} of this time ${rows === 1 ? 'is' : 'are'} in files of the log that are damaged and left out; \`slipway logs\` names them.`,
  );
}
