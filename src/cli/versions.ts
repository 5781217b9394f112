import type { Version } from '../../sdk/src/client.ts';
import { briefJson } from './brief-json.ts';
import { commandText } from './command-text.ts';
import { reportText } from './conversion-text.ts';
import { parseVersionRef } from './key-values.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { diffText, signatureTable } from './signature-text.ts';
import { clean, cleanLine, count, formatAge, formatBytes, table } from './terminal.ts';
import type { NounSpec, VerbCall } from './verb.ts';
import { tagsText, validationText } from './version-text.ts';

const VERSION_ARG = {
  name: 'version',
  help: 'like churn@2, churn@champion or churn@latest',
  completes: 'version',
} as const;

export const versions: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'All versions of a model',
      examples: [['slipway versions list churn', 'the youngest first, with status and aliases']],
      args: [{ name: 'model', help: 'its name', completes: 'model' }],
      options: LIST_OPTIONS,
      async run(call) {
        const client = await call.client();
        const items = await listing(call, (options) => client.versions.list(call.args[0]!, options));
        call.out.result('versions.list', items, () => versionsTable(call, items));
      },
    },
    {
      name: 'show',
      summary: 'One version: signature, validation, files, lineage',
      examples: [
        ['slipway versions show churn@2', 'everything that is known of version 2'],
        ['slipway versions show churn', 'of the latest'],
      ],
      args: [VERSION_ARG],
      async run(call) {
        const { model, ref } = parseVersionRef(call.args[0]!, 'latest');
        const client = await call.client();
        const version = await client.versions.show(model, ref, { signal: call.signal });
        call.out.result('versions.show', version, () => versionText(call, version));
      },
    },
    {
      name: 'diff',
      summary: 'How the signature of a version differs from another',
      examples: [['slipway versions diff churn@3 2', 'what a caller of version 2 would meet in version 3']],
      args: [VERSION_ARG, { name: 'against', help: 'the older version: number, alias or latest' }],
      async run(call) {
        const { model, ref } = parseVersionRef(call.args[0]!);
        const client = await call.client();
        const diff = await client.versions.diff(model, ref, call.args[1]!, { signal: call.signal });
        call.out.result('versions.diff', diff, () => diffText(diff.changes, call.out.paint));
      },
    },
    {
      name: 'delete',
      summary: 'Delete a version',
      about: 'Refused while an endpoint serves it, pins it, or an alias names it.',
      examples: [['slipway versions delete churn@1 --confirm=churn@1', 'deletes version 1']],
      args: [{ ...VERSION_ARG, help: 'like churn@2' }],
      changes: true,
      severe: true,
      async run(call) {
        const { model, ref } = parseVersionRef(call.args[0]!);
        const client = await call.client();
        const version = await client.versions.show(model, ref, { signal: call.signal });
        const name = `${model}@${version.version}`;
        if (!call.dryRun)
          await call.confirm(`version ${name}`, name, 'Its files are deleted and cannot be brought back.');
        await client.versions.remove(model, version.version, {
          ifRevision: version.revision,
          dryRun: call.dryRun,
          signal: call.signal,
        });
        call.out.result('versions.delete', { deleted: name, dryRun: call.dryRun }, () =>
          call.dryRun ? `Would delete ${name}. Nothing was changed.` : `Deleted ${name}`,
        );
      },
    },
  ],
};

function versionsTable(call: VerbCall, items: readonly Version[]): string {
  if (items.length === 0)
    return `No version yet. Push one with: ${commandText(call.options, 'models push ./model.onnx')}\n`;
  const { paint } = call.out;
  const rows = items.map((version) => [
    String(version.version),
    version.status === 'failed' ? paint('red', version.status) : version.status,
    version.aliases.join(' ') || '-',
    version.format,
    formatBytes(version.files.reduce((sum, file) => sum + file.sizeBytes, 0)),
    formatBytes(version.measuredMemoryBytes),
    formatAge(version.createdAt),
    cleanLine(version.createdBy),
    cleanLine(version.statusReason ?? ''),
  ]);
  const right = true;
  return table(
    [
      { title: 'version', right },
      { title: 'status' },
      { title: 'aliases' },
      { title: 'format' },
      { title: 'size', right },
      { title: 'memory', right },
      { title: 'made' },
      { title: 'by' },
      { title: '' },
    ],
    rows,
    paint,
  );
}

function versionText(call: VerbCall, version: Version): string {
  const { paint } = call.out;
  const { lineage } = version;
  const origin = [
    lineage.data === undefined ? '' : `data ${lineage.data}`,
    lineage.codeCommit === undefined ? '' : `code ${lineage.codeCommit}`,
    lineage.parentVersion === undefined ? '' : `from version ${lineage.parentVersion}`,
    lineage.trainedBy === undefined ? '' : `trained by ${lineage.trainedBy}`,
  ].filter((part) => part !== '');
  const lines = [
    `${paint('bold', `${version.model}@${version.version}`)}  ${version.status}${version.statusReason === null ? '' : `: ${cleanLine(version.statusReason)}`}`,
    `Digest   ${version.digest}`,
    `Made     ${formatAge(version.createdAt)} by ${cleanLine(version.createdBy)}; aliases ${version.aliases.join(' ') || 'none'}; tags ${tagsText(version.tags)}`,
    `Engine   ${version.engine}${version.engine === 'auto' ? ' (validation chooses)' : ''}, format ${version.format}, ${count(version.limits.threads, 'thread')}, at most ${formatBytes(version.limits.memoryBytes)}`,
    `Memory   measured ${formatBytes(version.measuredMemoryBytes)}, estimated ${formatBytes(version.estimatedMemoryBytes)}`,
    `Lineage  ${origin.length === 0 ? 'not given' : cleanLine(origin.join('; '))}`,
    '',
    paint('bold', 'Signature'),
    signatureTable(version.signature, paint).trimEnd(),
    '',
    paint('bold', 'Files'),
    ...version.files.map(
      (file) => `  ${cleanLine(file.path)}  ${formatBytes(file.sizeBytes)}  ${file.digest.slice(0, 19)}`,
    ),
  ];
  if (lineage.conversion !== undefined) {
    lines.push(
      '',
      paint('bold', `Made of version ${lineage.conversion.from.version}`),
      reportText(lineage.conversion, paint),
    );
  }
  if (version.validation !== null) {
    lines.push('', paint('bold', 'Validation'), validationText(version.validation, version, paint).trimEnd());
  }
  lines.push('', paint('bold', 'Sample request'), `  ${cleanLine(briefJson(version.sampleRequest).text)}`);
  if (version.card !== null) lines.push('', paint('bold', 'Card'), clean(version.card).trimEnd());
  return `${lines.join('\n')}\n`;
}
