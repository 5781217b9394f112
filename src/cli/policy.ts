import type { FieldAction, PolicyDocument, ShownPolicy } from '../../sdk/src/client.ts';
import { CliError } from './cli-error.ts';
import { parseCount } from './key-values.ts';
import { checkName } from './name-check.ts';
import { percent } from './rollout-text.ts';
import { cleanLine, formatAge, type Paint, table } from './terminal.ts';
import type { NounSpec } from './verb.ts';
import { readYamlFile } from './yaml-file.ts';

const ENDPOINT = { name: 'endpoint', help: 'the name it is served under', completes: 'endpoint' } as const;

export const policy: NounSpec = {
  verbs: [
    {
      name: 'show',
      summary: 'What is kept of predictions, field by field',
      examples: [['slipway policy show churn', 'kept, hashed, cut or dropped, and by which line']],
      args: [ENDPOINT],
      async run(call) {
        const client = await call.client();
        const shown = await client.policy.show(checkName('endpoint', call.args[0]!), { signal: call.signal });
        call.out.result('policy.show', shown, () => policyText(shown, call.out.paint));
      },
    },
    {
      name: 'set',
      summary: 'Say what may be kept of predictions',
      about:
        'It holds a second after it was set, before anything touches a disk. What was logged before stays as it is, until its time is up or it is erased. docs/guides/log-label-look.md shows a policy.',
      examples: [
        ['slipway policy set churn --file privacy.yaml --dry-run', 'shows which fields would be kept, masked, dropped'],
      ],
      args: [ENDPOINT],
      options: [
        { flags: '--file <file>', help: 'the policy, as YAML' },
        { flags: '--elsewhere', help: 'the model is served elsewhere; its log will be imported under this name' },
        { flags: '--if-revision <n>', help: 'refuse when it is another by now' },
      ],
      changes: true,
      async run(call) {
        const endpoint = checkName('endpoint', call.args[0]!);
        const path = call.options.text('file');
        if (path === undefined) throw new CliError('usage', 'Which policy? --file <file>');
        const file = readYamlFile(path);
        const revision = call.options.text('ifRevision');
        const client = await call.client();
        const shown = await client.policy
          .set(endpoint, (file.value ?? {}) as PolicyDocument, {
            dryRun: call.dryRun,
            elsewhere: call.options.flag('elsewhere'),
            signal: call.signal,
            ...(revision === undefined ? {} : { ifRevision: parseCount('--if-revision', revision, 0) }),
          })
          .catch((error: unknown) => {
            throw file.explain(error);
          });
        call.out.result('policy.set', { ...shown, dryRun: call.dryRun }, () => policyText(shown, call.out.paint));
        if (call.dryRun) call.out.note('Nothing was changed.');
      },
    },
  ],
};

function policyText({ endpoint, policy, revision, updatedAt, updatedBy, fields }: ShownPolicy, paint: Paint): string {
  const by = updatedAt === null ? '' : `, set ${formatAge(updatedAt)} by ${cleanLine(updatedBy ?? '')}`;
  const { payloadDays, feedbackDays } = policy.retention;
  const lines = [
    `${paint('bold', endpoint)}  ${revision === 0 ? 'no policy was set: the default holds' : `revision ${revision}${by}`}`,
    policy.sample === 0
      ? 'No prediction is logged.'
      : `${percent(policy.sample)} of predictions are logged, for ${payloadDays} days.`,
    `Profiles are ${policy.profile ? '' : 'not '}made. Feedback stays ${feedbackDays} days.`,
  ];
  const text = table(
    [{ title: 'field' }, { title: 'kind' }, { title: 'becomes' }, { title: 'says' }, { title: 'is' }],
    fields.map((field) => [
      cleanLine(field.field),
      field.kind,
      actionText(field.action),
      cleanLine(field.by ?? 'the default'),
      field.uses.join(', '),
    ]),
    paint,
  );
  return `${lines.join('\n')}\n\n${text}`;
}

function actionText(action: FieldAction): string {
  switch (action.action) {
    case 'keep':
      return 'kept';
    case 'drop':
      return 'dropped';
    case 'hash':
      return 'masked: a keyed hash';
    case 'truncate':
      return `masked: its first ${action.chars} characters`;
    case 'bucket':
      return `masked: steps of ${action.width}`;
  }
}
