import type { Reference } from '../../sdk/src/client.ts';
import { parseCount } from './key-values.ts';
import { checkName } from './name-check.ts';
import { count, formatAge } from './terminal.ts';
import type { NounSpec } from './verb.ts';

const ENDPOINT = { name: 'endpoint', help: 'the name it is served under', completes: 'endpoint' } as const;

export const references: NounSpec = {
  verbs: [
    {
      name: 'show',
      summary: 'What the predictions of an endpoint are compared with',
      examples: [['slipway references show churn', 'of the version that it serves']],
      args: [ENDPOINT],
      async run(call) {
        const client = await call.client();
        const shown = await client.references.show(checkName('endpoint', call.args[0]!), { signal: call.signal });
        call.out.result('references.show', shown, () => referenceText(shown));
      },
    },
    {
      name: 'first',
      summary: 'Make the reference of the first rows that a version predicts',
      about:
        'For versions that came without a reference set. It is made when there are as many rows, in whole minutes, and takes the place of one that is there.',
      examples: [['slipway references first churn --rows 10000', 'of the first 10,000 rows of the version it serves']],
      args: [ENDPOINT],
      options: [{ flags: '--rows <number>', help: 'at least 10; 10,000 unless given' }],
      changes: true,
      async run(call) {
        const rows = parseCount('--rows', call.options.text('rows') ?? '10000', 10);
        const client = await call.client();
        const options = { dryRun: call.dryRun, signal: call.signal };
        const shown = await client.references.ofFirst(checkName('endpoint', call.args[0]!), rows, options);
        call.out.result('references.first', { ...shown, dryRun: call.dryRun }, () => referenceText(shown));
      },
    },
  ],
};

function referenceText({ model, version, origin, rows, madeAt, awaitedRows }: Reference): string {
  const of = origin === 'file' ? 'the reference set that came with it' : 'its first predictions';
  const lines = [
    origin === null
      ? `${model}@${version} has no reference.`
      : `${model}@${version} is compared with ${of}: ${count(rows, 'row')}, made ${formatAge(madeAt ?? '')}.`,
  ];
  if (awaitedRows !== null) lines.push(`One of its first ${count(awaitedRows, 'row')} is made when they are there.`);
  if (origin === null && awaitedRows === null)
    lines.push(
      'Name a CSV file as `reference` in slipway.yaml, or take its first predictions: `slipway references first`.',
    );
  return lines.join('\n');
}
