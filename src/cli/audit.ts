import { stringifyJson } from '../../sdk/src/json.ts';
import { EXIT_CODES } from './exit-code.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { cleanLine, table } from './terminal.ts';
import type { NounSpec } from './verb.ts';

export const audit: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'Every change: who, when, what, from, to, why',
      examples: [['slipway audit list --limit 20', 'the latest 20 changes']],
      options: [
        ...LIST_OPTIONS,
        { flags: '--actor <name>', help: 'only changes by this key, such as key:ci' },
        { flags: '--action <name>', help: 'only this kind of change, such as alias.set' },
        { flags: '--resource <name>', help: 'only changes of this, such as version/churn@2' },
      ],
      async run(call) {
        const client = await call.client();
        const filter: Record<string, string> = {};
        for (const name of ['actor', 'action', 'resource', 'project']) {
          const value = call.options.text(name);
          if (value !== undefined) filter[name] = value;
        }
        const items = await listing(call, (options) => client.audit.list({ ...options, ...filter }));
        call.out.result('audit.list', items, () =>
          table(
            [
              { title: '#', right: true },
              { title: 'when' },
              { title: 'who' },
              { title: 'what' },
              { title: 'project' },
              { title: 'on' },
              { title: 'why' },
              { title: 'detail' },
            ],
            items.map((record) => [
              String(record.seq),
              record.at,
              cleanLine(record.actor),
              cleanLine(record.action),
              record.project ?? '-',
              cleanLine(record.resource),
              cleanLine(record.reason ?? ''),
              cleanLine(stringifyJson(record.detail)).slice(0, 80),
            ]),
            call.out.paint,
          ),
        );
      },
    },
    {
      name: 'verify',
      summary: 'Whether the record of changes is intact',
      about: 'Recomputes the chain of hashes over the whole log. Exit code 8 when it is broken.',
      examples: [['slipway audit verify', 'intact up to record N, or broken at record N']],
      async run(call) {
        const client = await call.client();
        const verdict = await client.audit.verify({ signal: call.signal, timeoutMs: 10 * 60_000 });
        call.out.result('audit.verify', verdict, () =>
          verdict.intact
            ? `Intact: ${verdict.records} records, last hash ${verdict.lastHash}`
            : call.out.paint(
                'red',
                `Broken at record ${verdict.brokenAt}: the database was altered by something other than Slipway. Compare it with a backup.`,
              ),
        );
        return verdict.intact ? EXIT_CODES.ok.code : EXIT_CODES.gate.code;
      },
    },
  ],
};
