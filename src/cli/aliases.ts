import { breaks } from './breaking.ts';
import { commandText } from './command-text.ts';
import { parseCount } from './key-values.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName } from './name-check.ts';
import { cleanLine, formatAge, table } from './terminal.ts';
import type { NounSpec } from './verb.ts';

const MODEL = { name: 'model', help: "the model's name", completes: 'model' } as const;
const ALIAS = { name: 'alias', help: "the alias' name", completes: 'alias' } as const;
const REASON = { flags: '--reason <text>', help: 'why, for the history' };

export const aliases: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'The aliases of a model',
      examples: [['slipway aliases list churn', 'which name means which version']],
      args: [MODEL],
      options: LIST_OPTIONS,
      async run(call) {
        const client = await call.client();
        const items = await listing(call, (options) => client.aliases.list(call.args[0]!, options));
        call.out.result('aliases.list', items, () =>
          items.length === 0
            ? `No alias yet. Set one with: ${commandText(call.options, `aliases set ${call.args[0]} champion 1`)}\n`
            : table(
                [{ title: 'alias' }, { title: 'version', right: true }, { title: 'set' }],
                items.map((alias) => [alias.name, String(alias.version), formatAge(alias.updatedAt)]),
                call.out.paint,
              ),
        );
      },
    },
    {
      name: 'set',
      summary: 'Let an alias name a version',
      about:
        'Endpoints that follow the alias move with it, without an interruption. The history keeps who, when, from, to and why.',
      examples: [['slipway aliases set churn champion 2 --reason "better recall"', 'champion now means version 2']],
      args: [MODEL, ALIAS, { name: 'version', help: 'its number' }],
      options: [
        REASON,
        { flags: '--allow-breaking', help: 'although callers of an endpoint that follows the alias would break' },
        { flags: '--if-revision <number>', help: 'only if the alias still has this revision' },
      ],
      changes: true,
      async run(call) {
        const [model, name, text] = call.args as [string, string, string];
        checkName('model', model);
        checkName('alias', name);
        const version = parseCount('version', text);
        const client = await call.client();
        const page = await client.aliases.list(model, { signal: call.signal }).all();
        const from = page.find((alias) => alias.name === name)?.version ?? null;
        const reason = call.options.text('reason');
        const revision = call.options.text('ifRevision');
        const alias = await client.aliases.set(model, name, version, {
          dryRun: call.dryRun,
          signal: call.signal,
          ...(reason === undefined ? {} : { reason }),
          ...(revision === undefined ? {} : { ifRevision: parseCount('--if-revision', revision) }),
          ...(call.options.flag('allowBreaking') ? { allowBreaking: true } : {}),
        });
        const breaking =
          !call.dryRun &&
          from !== null &&
          from !== version &&
          (await breaks(client, model, version, from, call.signal));
        call.out.result('aliases.set', { ...alias, from, dryRun: call.dryRun }, () => {
          const moved = `${model}@${name}: version ${from ?? 'none'} → ${version}`;
          if (call.dryRun) return `Would set ${moved}. Nothing was changed.`;
          const undo =
            from === null
              ? `aliases delete ${model} ${name}`
              : from === version
                ? null
                : `aliases set ${model} ${name} ${from}${breaking ? ' --allow-breaking' : ''}`;
          return `${moved}${undo === null ? '' : `\nUndo: ${commandText(call.options, undo)}`}`;
        });
      },
    },
    {
      name: 'delete',
      summary: 'Take an alias away',
      about: 'Refused while an endpoint follows it. Its history stays.',
      examples: [['slipway aliases delete churn trial', 'the name trial means nothing any more']],
      args: [MODEL, ALIAS],
      options: [REASON],
      changes: true,
      async run(call) {
        const [model, name] = call.args as [string, string];
        const client = await call.client();
        const before = (await client.aliases.list(model, { signal: call.signal }).all()).find(
          (alias) => alias.name === name,
        );
        const reason = call.options.text('reason');
        await client.aliases.remove(model, name, {
          dryRun: call.dryRun,
          signal: call.signal,
          ...(reason === undefined ? {} : { reason }),
        });
        call.out.result(
          'aliases.delete',
          { deleted: `${model}@${name}`, from: before?.version ?? null, dryRun: call.dryRun },
          () =>
            call.dryRun
              ? `Would take away ${model}@${name}. Nothing was changed.`
              : `Took away ${model}@${name}${before === undefined ? '' : `\nUndo: ${commandText(call.options, `aliases set ${model} ${name} ${before.version}`)}`}`,
        );
      },
    },
    {
      name: 'history',
      summary: 'Every change of an alias: who, when, from, to, why',
      examples: [['slipway aliases history churn champion', 'which versions champion has meant']],
      args: [MODEL, ALIAS],
      options: LIST_OPTIONS,
      async run(call) {
        const [model, name] = call.args as [string, string];
        const client = await call.client();
        const items = await listing(call, (options) => client.aliases.history(model, name, options));
        call.out.result('aliases.history', items, () =>
          table(
            [
              { title: 'when' },
              { title: 'from', right: true },
              { title: 'to', right: true },
              { title: 'who' },
              { title: 'why' },
            ],
            items.map((change) => [
              change.at,
              String(change.from ?? '-'),
              String(change.to ?? '-'),
              cleanLine(change.actor),
              cleanLine(change.reason ?? ''),
            ]),
            call.out.paint,
          ),
        );
      },
    },
  ],
};
