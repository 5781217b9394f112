import type { Model } from '../../sdk/src/client.ts';
import { commandText } from './command-text.ts';
import { registerVersion, VERSION_OPTIONS } from './deploy.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { clean, cleanLine, formatAge, table } from './terminal.ts';
import type { NounSpec, VerbCall } from './verb.ts';
import { tagsText } from './version-text.ts';

export const models: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'All models of the project',
      examples: [['slipway models list', 'a table; with --json everything that is known']],
      options: LIST_OPTIONS,
      async run(call) {
        const client = await call.client();
        const items = await listing(call, (options) => client.models.list(options));
        call.out.result('models.list', items, () => modelsTable(call, items));
      },
    },
    {
      name: 'show',
      summary: 'One model: versions, aliases, tags, card',
      examples: [['slipway models show churn', 'what is known of churn']],
      args: [{ name: 'model', help: 'its name', completes: 'model' }],
      async run(call) {
        const client = await call.client();
        const model = await client.models.show(call.args[0]!, { signal: call.signal });
        call.out.result('models.show', model, () => modelText(call, model));
      },
    },
    {
      name: 'push',
      summary: 'Register a version without serving it',
      about: 'Like `slipway deploy`, up to and including validation; no endpoint is made or moved.',
      examples: [['slipway models push ./model.onnx --name churn', 'stores and validates the next version of churn']],
      args: [{ name: 'path', help: 'the model file, or a folder with it and slipway.yaml', completes: 'file' }],
      options: [
        { flags: '--name <model>', help: "the model's name; made from the file's unless given" },
        ...VERSION_OPTIONS,
      ],
      changes: true,
      run: (call) => registerVersion(call, 'models push', (client, input, how) => client.models.push(input, how)),
    },
    {
      name: 'delete',
      summary: 'Delete a model with all its versions',
      about: 'Refused while an endpoint names one of its versions. The audit log keeps what was there.',
      examples: [
        ['slipway models delete churn', 'asks for the name again'],
        ['slipway models delete churn --confirm=churn', 'without asking'],
      ],
      args: [{ name: 'model', help: 'its name', completes: 'model' }],
      changes: true,
      severe: true,
      async run(call) {
        const name = call.args[0]!;
        const client = await call.client();
        const model = await client.models.show(name, { signal: call.signal });
        if (!call.dryRun) {
          await call.confirm(`model ${name}`, name, deletionText(model.latestVersion ?? 0));
        }
        await client.models.remove(name, { ifRevision: model.revision, dryRun: call.dryRun, signal: call.signal });
        call.out.result('models.delete', { deleted: name, dryRun: call.dryRun }, () =>
          call.dryRun ? `Would delete model ${name}. Nothing was changed.` : `Deleted model ${name} with its versions`,
        );
      },
    },
  ],
};

/** Its highest number is not how many there are: versions may be deleted. */
function deletionText(latest: number): string {
  if (latest === 0) return 'It has no versions.';
  return `${latest === 1 ? 'Its version 1 is' : `All its versions, up to version ${latest}, are`} deleted and cannot be brought back.`;
}

function modelsTable(call: VerbCall, items: readonly Model[]): string {
  if (items.length === 0)
    return `No model yet. Make one with: ${commandText(call.options, 'deploy ./model.onnx --name churn')}\n`;
  const rows = items.map((model) => [
    model.name,
    model.latestVersion === null ? '-' : String(model.latestVersion),
    aliasText(model.aliases) || '-',
    formatAge(model.createdAt),
    cleanLine(model.createdBy),
    cleanLine(model.description ?? ''),
  ]);
  return table(
    [
      { title: 'name' },
      { title: 'latest', right: true },
      { title: 'aliases' },
      { title: 'made' },
      { title: 'by' },
      { title: '' },
    ],
    rows,
    call.out.paint,
  );
}

const aliasText = (aliases: Record<string, number>): string =>
  Object.entries(aliases)
    .map(([name, version]) => `${name}=${version}`)
    .join(' ');

function modelText(call: VerbCall, model: Model): string {
  const lines = [
    `${call.out.paint('bold', model.name)}  project ${model.project}, made ${formatAge(model.createdAt)} by ${cleanLine(model.createdBy)}`,
    ...(model.description === null ? [] : [cleanLine(model.description)]),
    `Latest version ${model.latestVersion ?? 'none'}; aliases ${aliasText(model.aliases) || 'none'}; tags ${tagsText(model.tags)}`,
    ...(model.card === null ? [] : ['', clean(model.card).trimEnd()]),
    '',
    `${commandText(call.options, `versions list ${model.name}`)}    all versions`,
  ];
  return `${lines.join('\n')}\n`;
}
