import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import type { CallOptions, Client, PredictRequest, PredictResponse, Signature } from '../../sdk/src/client.ts';
import { stringifyJson } from '../../sdk/src/json.ts';
import { csvField } from '../base/csv.ts';
import { flatRow } from '../base/flat-row.ts';
import { CliError, toCliError } from './cli-error.ts';
import { readCsvRecords } from './csv-records.ts';
import { type Batch, explainInFile } from './file-rows.ts';
import { parseCount } from './key-values.ts';
import { DOCUMENT_SCHEMA } from './output.ts';
import { requestOfRows } from './positional.ts';
import { type FileFormat, formatOf, type PredictRecord, readNdjson, requestOf } from './records.ts';
import { cleanLine, count, table } from './terminal.ts';
import type { VerbCall, VerbSpec } from './verb.ts';
import { WHOLE_FORMATS, wholeFileType } from './whole-file.ts';

const OUTPUTS = ['table', 'ndjson', 'json', 'csv'] as const;
type OutputForm = (typeof OUTPUTS)[number];

export const predict: VerbSpec = {
  name: 'predict',
  summary: 'Ask an endpoint for predictions',
  about:
    'Takes one record, an array of records or a whole body with --json, or a file: CSV (columns are read by the types of the signature), JSON, NDJSON, ' +
    'an Arrow stream, a picture, or - for standard input. Where the model does not name its columns, a file with as many columns is taken in their order, and values may be typed as a list. ' +
    'Blank cells, NA and NaN of floating-point columns are missing values. Answers come in the order of the rows: a table on a terminal, else one JSON object a line. ' +
    '--json without a value, beside --json with one or --file, asks for one JSON document, also of a failure.',
  examples: [
    [`slipway predict churn --json '{"age": 41, "plan": "pro"}'`, 'one prediction'],
    [`slipway predict iris --json '[5.1, 3.5, 1.4, 0.2]'`, 'the same of a model whose columns have no names'],
    ['slipway predict churn --file rows.csv > answers.ndjson', 'a whole table'],
    ['slipway predict classifier --file photo.jpg', 'a picture, where the model has a decoder for it'],
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
    {
      flags: '--file <file>',
      help: 'rows as .csv, .tsv, .json, .ndjson, .arrow; a picture as .jpg, .png, …; - for standard input',
    },
    {
      flags: '--format <format>',
      help: 'form of the file, when its name does not say',
      choices: ['csv', 'json', 'ndjson', ...WHOLE_FORMATS],
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
  const form =
    (options.text('output') as OutputForm | undefined) ??
    (asDocument ? 'json' : call.out.interactive ? 'table' : 'ndjson');
  const client = await call.client({ keyOptional: true });
  const asked: Asked = { call, client, endpoint: call.args[0]!, limits, writer: createWriter(call, form) };
  if (file === undefined) {
    const typed = requestOf(bodies[0]!, '--json');
    const request = 'rows' in typed ? requestOfRows(typed.rows, await signatureOf(asked), '--json') : typed;
    asked.writer.take(await client.predict(asked.endpoint, request, limits));
  } else {
    const type = wholeFileType(file, options.text('format'));
    if (type === null) await predictFile(asked, file, form === 'ndjson' || form === 'csv');
    else asked.writer.take(await predictWhole(asked, file, type));
  }
  asked.writer.end();
}

type Asked = {
  readonly call: VerbCall;
  readonly client: Client;
  readonly endpoint: string;
  readonly limits: CallOptions;
  readonly writer: Writer;
};

async function predictWhole({ client, endpoint, limits }: Asked, file: string, type: string): Promise<PredictResponse> {
  const bytes = file === '-' ? await buffer(process.stdin) : await readFile(file);
  return client.predictFile(endpoint, { type, body: new Uint8Array(bytes) }, limits);
}

/** @param shown whether answers are printed as they come */
async function predictFile(asked: Asked, file: string, shown: boolean): Promise<void> {
  const { call, client, endpoint, limits, writer } = asked;
  const size = parseCount('--batch', call.options.text('batch') ?? '256');
  const name = file === '-' ? 'standard input' : file;
  let done = 0;
  let batch: Batch | null = null;
  let unit: 'line' | 'record' = 'line';
  try {
    const { start, all } = await opened(file);
    const format = (call.options.text('format') as FileFormat | undefined) ?? formatOf(file, start);
    if (format === 'json') unit = 'record';
    for await (const next of requestsOf(asked, all, format, name, size)) {
      batch = next.batch;
      const answer = await client.predict(endpoint, next.request, limits);
      batch = null;
      done += answer.predictions.length;
      writer.take(answer);
      call.out.progress(`${count(done, 'row')} answered`);
    }
  } catch (error) {
    const failure = toCliError(error);
    // What is wrong with the file as a whole, or with the command, has nothing to do with rows.
    if (done === 0 && batch === null) throw failure;
    throw explainInFile(failure, { file: name, unit, batch, done, shown });
  }
  if (done === 0) {
    throw new CliError('validation', `${name} holds no rows`, {
      code: 'invalid_input',
      hint: 'A CSV file has a line of column names, then one line a row; the others need at least one record.',
    });
  }
}

async function opened(file: string): Promise<{ start: string; all: AsyncGenerator<string> }> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  stream.setEncoding('utf8');
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<string>;
  const first = await chunks.next();
  const start = first.done ? '' : first.value;
  return { start, all: withFirst(start, chunks) };
}

type FileRequest = { readonly request: PredictRequest; readonly batch: Batch | null };

/** The file as requests of at most `size` records. */
async function* requestsOf(
  asked: Asked,
  chunks: AsyncGenerator<string>,
  format: FileFormat,
  name: string,
  size: number,
): AsyncGenerator<FileRequest> {
  if (format === 'json') {
    yield* jsonRequests(asked, chunks, name, size);
    return;
  }
  const rows =
    format === 'ndjson'
      ? readNdjson(chunks, name)
      : readCsvRecords(chunks, await signatureOf(asked), {
          file: name,
          ignoreUnknown: asked.call.options.flag('ignoreColumns'),
          note: asked.call.out.note,
        });
  let records: PredictRecord[] = [];
  let lines: number[] = [];
  for await (const row of rows) {
    records.push(row.record);
    lines.push(row.line);
    if (records.length < size) continue;
    yield { request: { records }, batch: { records, lines } };
    records = [];
    lines = [];
  }
  if (records.length > 0) yield { request: { records }, batch: { records, lines } };
}

async function* jsonRequests(
  asked: Asked,
  chunks: AsyncGenerator<string>,
  name: string,
  size: number,
): AsyncGenerator<FileRequest> {
  let text = '';
  for await (const chunk of chunks) text += chunk;
  if (text.trim() === '') return;
  const read = requestOf(text, name);
  const request = 'rows' in read ? requestOfRows(read.rows, await signatureOf(asked), name) : read;
  if (!('records' in request)) {
    const [input, values] = Object.entries(request.inputs)[0] ?? [];
    // Only a list of rows may be cut; one row, or a body as it is, is sent whole.
    if (!('rows' in read) || input === undefined || values !== read.rows) return yield { request, batch: null };
    for (let at = 0; at < read.rows.length; at += size) {
      yield { request: { inputs: { [input]: read.rows.slice(at, at + size) } }, batch: null };
    }
    return;
  }
  for (let at = 0; at < request.records.length; at += size) {
    const records = request.records.slice(at, at + size);
    yield { request: { records }, batch: { records, lines: records.map((_, index) => at + index + 1) } };
  }
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
async function signatureOf({ client, endpoint, limits }: Asked): Promise<Signature> {
  const { inputs, outputs } = await client.describe(endpoint, limits);
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
          const row = flatten(prediction, true);
          if (columns === null) {
            columns = Object.keys(row);
            out.line(columns.map(csvField).join(','));
          }
          checkColumns(row, columns);
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

/** See `flatRow`: columns of a table. */
export function flatten(prediction: Record<string, unknown>, vectors = false): Record<string, unknown> {
  return flatRow(prediction, { vectors, toJson: stringifyJson });
}

/** An output of changing length has no columns: better no file than one that lost values. */
function checkColumns(row: Record<string, unknown>, columns: readonly string[]): void {
  const names = Object.keys(row);
  const extra = names.find((name) => !columns.includes(name));
  if (names.length === columns.length && extra === undefined) return;
  throw new CliError('validation', 'The answers do not have the same columns in every row, so they are no table', {
    code: 'invalid_input',
    hint: 'Use -o ndjson.',
  });
}

function predictionsTable(call: VerbCall, predictions: PredictResponse['predictions']): string {
  const rows = predictions.map((prediction) => flatten(prediction));
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
