import type { ErasureProof, SubjectRecords } from '../../sdk/src/client.ts';
import { cleanLine, count, type Paint, table } from './terminal.ts';
import type { NounSpec } from './verb.ts';

const SUBJECT = { name: 'subject', help: 'as the column that the policy calls `subject` has it' } as const;

export const subjects: NounSpec = {
  verbs: [
    {
      name: 'find',
      summary: 'All that is kept of a person or thing',
      about:
        'Looks through logged predictions, feedback and samples of the project, by the column that the policy of each endpoint calls `subject`. With --json it is what may be handed out.',
      examples: [['slipway subjects find customer-4711 --json', 'everything, as one document']],
      args: [SUBJECT],
      async run(call) {
        const client = await call.client();
        const found = await client.subjects.find(call.args[0]!, { signal: call.signal });
        call.out.result('subjects.find', found, () => foundText(found, call.out.paint));
      },
    },
    {
      name: 'erase',
      summary: 'Erase all that is kept of a person or thing, with proof',
      about:
        'Refused while something of it is under legal hold. The proof stands in the audit log too; the subject itself does not.',
      examples: [['slipway subjects erase customer-4711 --reason "asked by letter" --dry-run', 'how much it would be']],
      args: [SUBJECT],
      options: [{ flags: '--reason <text>', help: 'why, for the record' }],
      changes: true,
      severe: true,
      async run(call) {
        const subject = call.args[0]!;
        const client = await call.client();
        if (!call.dryRun) await call.confirm('the subject', subject, 'What is logged of it and said of it is gone.');
        const reason = call.options.text('reason');
        const proof = await client.subjects.erase(subject, {
          dryRun: call.dryRun,
          signal: call.signal,
          timeoutMs: 10 * 60_000,
          ...(reason === undefined ? {} : { reason }),
        });
        call.out.result('subjects.erase', { ...proof, dryRun: call.dryRun }, () => proofText(proof, call.dryRun));
      },
    },
  ],
};

function foundText({ subject, endpoints, feedback }: SubjectRecords, paint: Paint): string {
  if (endpoints.length + feedback.length === 0) return 'Nothing is kept of it.';
  const rows = endpoints.map((one) => [
    one.endpoint,
    String(one.predictions.length),
    String(one.feedback.length),
    String(one.samples.length),
  ]);
  if (feedback.length > 0) rows.push(['(none)', '0', String(feedback.length), '0']);
  const columns = [
    { title: 'endpoint' },
    { title: 'rows', right: true },
    { title: 'feedback', right: true },
    { title: 'samples', right: true },
  ];
  return `Known as ${cleanLine(subject)}. --json gives all of it.\n\n${table(columns, rows, paint)}`;
}

function proofText(
  { rows, feedback, reservoirRows, files, openSegments, left }: ErasureProof,
  dryRun: boolean,
): string {
  const what = `${count(rows, 'row')}, ${count(feedback, 'record')} of feedback, ${count(reservoirRows, 'sampled row')}`;
  if (dryRun) return `Would erase ${what}. Nothing was changed.`;
  const lines = [`Erased ${what}; ${count(left, 'row')} left.`];
  for (const file of files) lines.push(`  ${file.before} is ${file.after ?? 'gone'} (${count(file.rows, 'row')})`);
  if (openSegments > 0)
    lines.push(
      `${count(openSegments, 'file')} that gateways have open, or left open when they were killed: what is of it in them is hidden at once, and gone from the disk within 20 minutes.`,
    );
  return lines.join('\n');
}
