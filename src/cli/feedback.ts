import type { Client, FeedbackItem, FeedbackReceipt } from '../../sdk/src/client.ts';
import { CliError } from './cli-error.ts';
import { type LabelColumns, namesOf, readLabels } from './label-file.ts';
import { labelRows } from './label-rows.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName } from './name-check.ts';
import { cleanLine, count, formatAge, table } from './terminal.ts';
import type { NounSpec, VerbCall } from './verb.ts';

const ENDPOINT = { name: 'endpoint', help: 'the name it is served under', completes: 'endpoint' } as const;
const KINDS = ['truth', 'score', 'rating', 'correction', 'text'] as const;
const WHO = [
  { flags: '--source <name>', help: "who says it; the key's name unless given" },
  { flags: '--weight <number>', help: 'how much it counts; 1 unless given' },
] as const;

export const feedback: NounSpec = {
  verbs: [
    {
      name: 'send',
      summary: 'Say what became of one prediction',
      about:
        'Values are read as JSON where they are, else as text: --truth 1 is a number, --truth good a word. What was sent before is recognised; another value is a correction.',
      examples: [
        ['slipway feedback send 0198f3c2-7a10-7def-8a44-0123456789ab --truth 1', 'the outcome that came true'],
        [
          'slipway feedback send order-4711 --endpoint churn --join-key --score 12.5',
          'by a key the prediction carries',
        ],
      ],
      args: [{ name: 'id', help: 'the id of the answer, or <id>.<row>' }],
      options: [
        { flags: '--truth <value>', help: 'the outcome that came true' },
        { flags: '--score <number>', help: 'a reward or a loss' },
        { flags: '--rating <number>', help: 'an opinion, e.g. 1 to 5' },
        { flags: '--correction <value>', help: 'the output as a person would have given it' },
        { flags: '--text <words>', help: 'free words' },
        { flags: '--endpoint <name>', help: 'the endpoint that answered; needed with --join-key' },
        { flags: '--join-key', help: 'the id is a key that the prediction carries itself' },
        { flags: '--revision <number>', help: 'grows with every correction; the next one unless given' },
        { flags: '--at <time>', help: 'when it became true, as 2026-01-31T12:00:00Z' },
        ...WHO,
      ],
      changes: true,
      async run(call) {
        const item = itemOf(call);
        const client = await call.client();
        const endpoint = call.options.text('endpoint');
        const receipt = await client.feedback.send([item], {
          dryRun: call.dryRun,
          signal: call.signal,
          ...(endpoint === undefined ? {} : { endpoint: checkName('--endpoint', endpoint) }),
        });
        call.out.result('feedback.send', { ...receipt, dryRun: call.dryRun }, () => receiptText(receipt, call.dryRun));
      },
    },
    {
      name: 'import',
      summary: 'Send a file of labels: CSV, JSON lines or Parquet',
      about:
        'One row a prediction. --id or --join-key names the column that says which, --truth (or --score, …) the column of the value. Repeating an import changes nothing.',
      examples: [
        [
          'slipway feedback import churn labels.csv --id prediction_id --truth churned',
          'columns prediction_id and churned',
        ],
        [
          'slipway feedback import churn labels.parquet --join-key order --score amount',
          'by a key of your own, out of a table',
        ],
      ],
      args: [ENDPOINT, { name: 'file', help: '.csv, .ndjson, .jsonl or .parquet', completes: 'file' }],
      options: [
        { flags: '--id <column>', help: 'column of the prediction ids' },
        { flags: '--join-key <column>', help: 'column of keys that predictions carry, instead of --id' },
        ...KINDS.map((kind) => ({ flags: `--${kind} <column>`, help: `column of the ${kind}` })),
        { flags: '--revision <column>', help: 'column of revisions' },
        { flags: '--at <column>', help: 'column of times at which it became true' },
        ...WHO,
      ],
      changes: true,
      async run(call) {
        const [endpoint, file] = call.args as [string, string];
        checkName('endpoint', endpoint);
        const columns = columnsOf(call);
        const client = await call.client();
        const total = await sendFile(call, client, endpoint, file, columns);
        call.out.result('feedback.import', { ...total, dryRun: call.dryRun }, () => receiptText(total, call.dryRun));
        return total.conflicts.length > 0 ? 1 : 0;
      },
    },
    {
      name: 'list',
      summary: 'What was said of predictions, every revision',
      examples: [['slipway feedback list churn --state parked', 'feedback whose prediction is not in the log']],
      args: [{ ...ENDPOINT, required: false }],
      options: [
        { flags: '--kind <kind>', help: 'only this kind', choices: KINDS },
        { flags: '--state <state>', help: 'only these', choices: ['parked', 'matched'] },
        ...LIST_OPTIONS,
      ],
      async run(call) {
        const client = await call.client();
        const kind = call.options.text('kind') as (typeof KINDS)[number] | undefined;
        const state = call.options.text('state') as 'parked' | 'matched' | undefined;
        const endpoint = call.args[0];
        const filter = {
          ...(endpoint === undefined ? {} : { endpoint }),
          ...(kind === undefined ? {} : { kind }),
          ...(state === undefined ? {} : { state }),
        };
        const items = await listing(call, (options) => client.feedback.list({ ...filter, ...options }));
        call.out.result('feedback.list', items, () =>
          table(
            [
              { title: 'prediction' },
              { title: 'kind' },
              { title: 'value' },
              { title: 'rev', right: true },
              { title: 'source' },
              { title: 'state' },
              { title: 'came' },
            ],
            items.map((item) => [
              cleanLine(
                item.predictionId === null
                  ? `key ${item.joinKey}`
                  : `${item.predictionId}${item.row === null ? '' : `.${item.row}`}`,
              ),
              item.kind,
              cleanLine(JSON.stringify(item.value)).slice(0, 40),
              String(item.revision),
              cleanLine(item.source),
              item.state,
              formatAge(item.arrivedAt),
            ]),
            call.out.paint,
          ),
        );
      },
    },
  ],
};

/** A value of the command line: JSON where it is, else text. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function numberOf(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new CliError('usage', `${flag} is ${JSON.stringify(text)}; it must be a number`);
}

function itemOf({ args, options }: VerbCall): FeedbackItem {
  const id = args[0]!;
  const item: FeedbackItem = options.flag('joinKey') ? { joinKey: id } : { predictionId: id };
  for (const kind of KINDS) {
    const value = options.text(kind);
    if (value === undefined) continue;
    if (kind === 'score' || kind === 'rating') item[kind] = numberOf(`--${kind}`, value);
    else if (kind === 'text') item.text = value;
    else item[kind] = parseValue(value);
  }
  const [revision, at] = [options.text('revision'), options.text('at')];
  if (revision !== undefined) item.revision = numberOf('--revision', revision);
  if (at !== undefined) item.at = at;
  return Object.assign(item, whoOf(options));
}

function whoOf(options: VerbCall['options']): Pick<FeedbackItem, 'source' | 'weight'> {
  const [source, weight] = [options.text('source'), options.text('weight')];
  return {
    ...(source === undefined ? {} : { source }),
    ...(weight === undefined ? {} : { weight: numberOf('--weight', weight) }),
  };
}

function columnsOf({ options }: VerbCall): LabelColumns {
  const [id, joinKey] = [options.text('id'), options.text('joinKey')];
  if ((id === undefined) === (joinKey === undefined)) {
    throw new CliError('usage', 'Which column says which prediction?', {
      hint: 'Name it with --id <column>, or with --join-key <column> for keys of your own.',
    });
  }
  const values = KINDS.flatMap((kind) => {
    const column = options.text(kind);
    return column === undefined ? [] : [{ kind, column }];
  });
  if (values.length === 0) {
    throw new CliError('usage', 'Which column holds the labels?', {
      hint: 'Name it, for example with --truth <column>.',
    });
  }
  return {
    subject: id === undefined ? { field: 'joinKey', column: joinKey! } : { field: 'predictionId', column: id },
    values,
    revision: options.text('revision') ?? null,
    at: options.text('at') ?? null,
  };
}

async function sendFile(
  call: VerbCall,
  client: Client,
  endpoint: string,
  file: string,
  columns: LabelColumns,
): Promise<FeedbackReceipt> {
  const total: FeedbackReceipt = {
    accepted: 0,
    revised: 0,
    superseded: 0,
    repeated: 0,
    matched: 0,
    parked: 0,
    dropped: 0,
    conflicts: [],
    id: null,
    revision: null,
  };
  const who = whoOf(call.options);
  let sent = 0;
  for await (const batch of readLabels(labelRows(file, namesOf(columns)), file, columns)) {
    const items = batch.items.map((item) => ({ ...item, ...who }));
    const receipt = await client.feedback.send(items, { endpoint, dryRun: call.dryRun, signal: call.signal });
    for (const name of ['accepted', 'revised', 'superseded', 'repeated', 'matched', 'parked', 'dropped'] as const) {
      total[name] += receipt[name];
    }
    for (const { index, message } of receipt.conflicts) {
      total.conflicts.push({ index: sent + index, message: `${batch.places[index]}: ${message}` });
    }
    sent += items.length;
    call.out.progress(`${count(sent, 'label')} sent`);
  }
  call.out.progress(null);
  return total;
}

function receiptText(receipt: FeedbackReceipt, dryRun: boolean): string {
  const { accepted, revised, superseded, repeated, matched, parked, dropped, conflicts } = receipt;
  const parts = [
    `${dryRun ? 'Would take' : 'Took'} ${count(accepted, 'record')}`,
    ...(revised > 0 ? [`${revised} of them ${revised === 1 ? 'a correction' : 'corrections'}`] : []),
    ...(superseded > 0 ? [`${superseded} older than what is known`] : []),
    ...(repeated > 0 ? [`${repeated} known already`] : []),
  ];
  const lines = [`${parts.join(', ')}.`];
  if (matched > 0) lines.push(`${count(matched, 'record')} matched a logged prediction.`);
  if (parked > 0) lines.push(`${count(parked, 'record')} wait for a prediction that is not in the log.`);
  if (dropped > 0)
    lines.push(
      `${count(dropped, 'record')} not kept: the policy of the endpoint drops ${dropped === 1 ? 'it' : 'them'}.`,
    );
  for (const { message } of conflicts.slice(0, 20)) lines.push(`Not taken: ${cleanLine(message)}`);
  if (conflicts.length > 20) lines.push(`… and ${conflicts.length - 20} more.`);
  return lines.join('\n');
}
