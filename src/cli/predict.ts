import { createReadStream } from 'node:fs';
import type { Client, PredictRequest, PredictResponse, Signature } from '../../sdk/src/client.ts';
import { stringifyJson } from '../../sdk/src/json.ts';
import { CliError } from './cli-error.ts';
import { csvField } from './csv.ts';
import { parseCount } from './key-values.ts';
import { DOCUMENT_SCHEMA } from './output.ts';
import { formatOf, type PredictRecord, readCsvRecords, readNdjson, requestOf } from './records.ts';
import { cleanLine, table } from './terminal.ts';
import type { VerbCall, VerbSpec } from './verb.ts';

const OUTPUTS = ['table', 'ndjson', 'json', 'csv'] as const;
type OutputForm = (typeof OUTPUTS)[number];

export const predict: VerbSpec = {
  name: 'predict',
  summary: 'Ask an endpoint for predictions',
  about:
    'Takes one record, an array of records or a whole body with --json, or a file: CSV (columns are read by the types of the signature), JSON, NDJSON, ' +
    'or - for standard input. Answers come in the order of the rows: a table on a terminal, else one JSON object a line. ' +
    '--json without a value asks for one document.',
  examples: [
    [`slipway predict churn --json '{"age": 41, "plan": "pro"}'`, 'one prediction'],
    ['slipway predict churn --file rows.csv > answers.ndjson', 'a whole table'],
    ['cat rows.ndjson | slipway predict churn@2 --file - -o csv', 'from another program, asking version 2'],
  ],
  args: [{ name: 'endpoint', help: 'its name; name@version asks a version it keeps loaded', completes: 'endpoint' }],
  options: [
    {
      flags: '--json [body]',
      help: 'the input, or, without a value, print one JSON document',
      repeatable: true,
      preset: '',
    },
    { flags: '--file <file>', help: 'rows as .csv, .tsv, .json, .ndjson; - for standard input' },
    {
      flags: '--format <format>',
      help: 'form of the file, when its name does not say',
      choices: ['csv', 'json', 'ndjson'],
    },
    { flags: '--ignore-columns', help: 'leave out columns of the file that the model does not take' },
    { flags: '-o, --output <form>', help: 'form of the answers', choices: OUTPUTS },
    { flags: '--batch <rows>', help: 'rows of a file per request; 256 unless given' },
    {
      flags: '--inference-url <url>',
      help: 'where requests go; asked from the server unless given (SLIPWAY_INFERENCE_URL)',
    },
    { flags: '--timeout <ms>', help: 'deadline of each request in milliseconds' },
  ],
  run: runPredict,
};

async function runPredict(call: VerbCall): Promise<void> {
  const { options } = call;
  const given = options.list('json');
  const bodies = given.filter((text) => text !== '');
  const asDocument = given.includes('');
  const file = options.text('file');
  if (bodies.length + (file === undefined ? 0 : 1) !== 1) {
    throw new CliError('usage', bodies.length === 0 ? 'predict needs an input' : 'predict takes one input', {
      hint: `Give either --json '{…}' or --file rows.csv (- for standard input).`,
    });
  }
  const timeout = options.text('timeout');
  const limits = {
    signal: call.signal,
    ...(timeout === undefined ? {} : { timeoutMs: parseCount('--timeout', timeout) }),
  };
  const client = await call.client({ keyOptional: true });
  const endpoint = call.args[0]!;
  const form =
    (options.text('output') as OutputForm | undefined) ??
    (asDocument ? 'json' : call.out.interactive ? 'table' : 'ndjson');
  const writer = createWriter(call, form);
  if (file === undefined) {
    writer.take(await client.predict(endpoint, requestOf(bodies[0]!, '--json'), limits));
  } else {
    const size = parseCount('--batch', options.text('batch') ?? '256');
    let rows = 0;
    for await (const request of requestsOf(call, client, endpoint, file, size)) {
      const answer = await client.predict(endpoint, request, limits);
      rows += answer.predictions.length;
      writer.take(answer);
      call.out.progress(`${rows} rows answered`);
    }
  }
  writer.end();
}

/** The file as requests of at most `size` records. */
async function* requestsOf(
  call: VerbCall,
  client: Client,
  endpoint: string,
  file: string,
  size: number,
): AsyncGenerator<PredictRequest> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  stream.setEncoding('utf8');
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<string>;
  const first = await chunks.next();
  const start = first.done ? '' : first.value;
  const all = withFirst(start, chunks);
  const format = (call.options.text('format') as 'csv' | 'json' | 'ndjson' | undefined) ?? formatOf(file, start);
  if (format === 'json') {
    let text = '';
    for await (const chunk of all) text += chunk;
    const request = requestOf(text, file === '-' ? 'standard input' : file);
    if (!('records' in request)) return yield request;
    for (let at = 0; at < request.records.length; at += size) yield { records: request.records.slice(at, at + size) };
    return;
  }
  const records =
    format === 'ndjson'
      ? readNdjson(all)
      : readCsvRecords(all, await signatureOf(call, client, endpoint), {
          ignoreUnknown: call.options.flag('ignoreColumns'),
        });
  let batch: PredictRecord[] = [];
  for await (const record of records) {
    batch.push(record);
    if (batch.length < size) continue;
    yield { records: batch };
    batch = [];
  }
  if (batch.length > 0) yield { records: batch };
}

async function* withFirst(first: string, rest: AsyncIterator<string>): AsyncGenerator<string> {
  if (first !== '') yield first;
  for (;;) {
    const next = await rest.next();
    if (next.done) return;
    yield next.value;
  }
}

/** From the gateway, so that a key which may only predict is enough. */
async function signatureOf(call: VerbCall, client: Client, endpoint: string): Promise<Signature> {
  const { inputs, outputs } = await client.describe(endpoint, { signal: call.signal });
  return { inputs, outputs };
}

type Writer = { take(answer: PredictResponse): void; end(): void };

function createWriter(call: VerbCall, form: OutputForm): Writer {
  const { out } = call;
  const kept: PredictResponse[] = [];
  let columns: string[] | null = null;
  return {
    take(answer) {
      if (form === 'ndjson') for (const prediction of answer.predictions) out.line(stringifyJson(prediction));
      else if (form === 'csv') {
        for (const prediction of answer.predictions) {
          const row = flatten(prediction);
          if (columns === null) {
            columns = Object.keys(row);
            out.line(columns.map(csvField).join(','));
          }
          out.line(columns.map((name) => csvField(row[name])).join(','));
        }
      } else kept.push(answer);
    },
    end() {
      if (form === 'ndjson' || form === 'csv') return;
      const predictions = kept.flatMap((answer) => answer.predictions);
      if (form === 'table') {
        out.progress(null);
        const text = predictionsTable(call, predictions);
        return text === '' ? undefined : out.line(text);
      }
      const last = kept.at(-1);
      const data = { endpoint: last?.endpoint ?? call.args[0], version: last?.version ?? null, predictions };
      out.line(stringifyJson({ schema: DOCUMENT_SCHEMA, kind: 'predict', data }, out.interactive ? 2 : undefined));
    },
  };
}

/** Columns of a table: an output by class becomes one column a class, `probabilities.good`; arrays stay JSON. */
function flatten(prediction: Record<string, unknown>): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(prediction)) {
    if (Array.isArray(value)) row[name] = stringifyJson(value);
    else if (typeof value === 'object' && value !== null) {
      for (const [inner, item] of Object.entries(value)) {
        row[`${name}.${inner}`] = typeof item === 'object' && item !== null ? stringifyJson(item) : item;
      }
    } else row[name] = value;
  }
  return row;
}

function predictionsTable(call: VerbCall, predictions: PredictResponse['predictions']): string {
  const rows = predictions.map(flatten);
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== 'id');
  const right = names.map((name) => rows.every((row) => ['number', 'bigint'].includes(typeof row[name])));
  return table(
    names.map((title, at) => ({ title, right: right[at] ?? false })),
    rows.map((row) => names.map((name) => cleanLine(cellText(row[name])))),
    call.out.paint,
  ).trimEnd();
}

function cellText(value: unknown): string {
  if (value === undefined || value === null) return '';
  // What a person can compare; the other forms keep every digit.
  if (typeof value === 'number' && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return String(value);
}
