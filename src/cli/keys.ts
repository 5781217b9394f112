import { writeFileSync } from 'node:fs';
import type { NewApiKey } from '../../sdk/src/client.ts';
import { CliError } from './cli-error.ts';
import { commandText } from './command-text.ts';
import { KEY_LIMIT_OPTIONS, limitsText, readKeyLimits } from './key-limits.ts';
import { LIST_OPTIONS, listing } from './list-options.ts';
import { checkName } from './name-check.ts';
import { cleanLine, formatAge, table } from './terminal.ts';
import type { NounSpec, VerbCall } from './verb.ts';

const ID = { name: 'id', help: 'its id, as `slipway keys list` shows it', completes: 'key' } as const;
const OUT = { flags: '--out <file>', help: 'write the key to this file (mode 0600) instead of printing it' };

export const keys: NounSpec = {
  verbs: [
    {
      name: 'list',
      summary: 'All API keys, without their secrets',
      examples: [['slipway keys list', 'who may do what, and when it was last used']],
      options: LIST_OPTIONS,
      async run(call) {
        const client = await call.client();
        const items = await listing(call, (options) => client.keys.list(options));
        call.out.result('keys.list', items, () =>
          table(
            [
              { title: 'id' },
              { title: 'name' },
              { title: 'project' },
              { title: 'scopes' },
              { title: 'state' },
              { title: 'limits' },
              { title: 'used' },
              { title: 'made' },
            ],
            items.map((key) => [
              key.id,
              cleanLine(key.name),
              key.project ?? 'every',
              key.scopes.join(' '),
              key.revokedAt !== null ? 'revoked' : key.expiresAt !== null ? `until ${key.expiresAt}` : 'live',
              limitsText(key.limits),
              key.lastUsedAt === null ? 'never' : formatAge(key.lastUsedAt),
              formatAge(key.createdAt),
            ]),
            call.out.paint,
          ),
        );
      },
    },
    {
      name: 'create',
      summary: 'Make an API key; it is shown once',
      about:
        'Scopes are read, predict, deploy, promote or admin, alone or for one model as in predict:churn. A key belongs to the project of the command ' +
        'unless --every-project is given.',
      examples: [
        ['slipway keys create web-shop --scope predict:churn --expires 90d', 'may ask one endpoint, for 90 days'],
        [
          'slipway keys create app --scope predict --rate 100/s --burst 200 --concurrency 16 --weight 2',
          'at most so much, and twice the share of others in a full queue',
        ],
        ['slipway keys create ml --scope predict --signing', 'with an access key id and a secret for boto3'],
        [
          'slipway keys create ci --scope deploy --scope promote --out ci.key',
          'written to a file instead of the terminal',
        ],
      ],
      args: [{ name: 'name', help: 'what it is for, as logs will name it' }],
      options: [
        { flags: '--scope <scope>', help: 'what it may do; may be repeated', repeatable: true },
        { flags: '--every-project', help: 'valid in every project' },
        { flags: '--expires <when>', help: 'a time such as 90d, 12h or 2027-01-31; never unless given' },
        ...KEY_LIMIT_OPTIONS,
        {
          flags: '--signing',
          help: 'with a pair for clients that sign as for AWS; its secret is kept readable by the server',
        },
        OUT,
      ],
      changes: true,
      async run(call) {
        const scopes = call.options.list('scope');
        if (scopes.length === 0) {
          throw new CliError('usage', 'A key needs at least one --scope', {
            hint: 'For example --scope predict:churn. Scopes are read, predict, deploy, code, promote and admin.',
          });
        }
        const name = checkName('name', call.args[0]!);
        const client = await call.client();
        const expires = call.options.text('expires');
        const limits = readKeyLimits(call.options);
        const key = await client.keys.create(
          {
            name,
            scopes: [...scopes],
            project: call.options.flag('everyProject') ? null : client.project,
            ...(expires === undefined ? {} : { expiresAt: parseExpiry(expires, Date.now()) }),
            ...(limits === null ? {} : { limits }),
            ...(call.options.flag('signing') ? { signing: true } : {}),
          },
          { dryRun: call.dryRun, signal: call.signal },
        );
        give(call, 'keys.create', key);
      },
    },
    {
      name: 'update',
      summary: 'Give a key other limits; what is not named stays',
      examples: [
        ['slipway keys update k3f9 --rate 50/s', 'holds on the gateways at once'],
        ['slipway keys update k3f9 --rate none --concurrency 8', 'no rate any more, 8 predictions at once'],
      ],
      args: [ID],
      options: KEY_LIMIT_OPTIONS,
      changes: true,
      async run(call) {
        const limits = readKeyLimits(call.options);
        if (limits === null) {
          throw new CliError('usage', 'Nothing was named to change', {
            hint: 'For example --rate 100/s; `slipway help keys update` lists all.',
          });
        }
        const client = await call.client();
        const key = await client.keys.update(call.args[0]!, { limits }, { dryRun: call.dryRun, signal: call.signal });
        const text = `${cleanLine(key.name)}: ${limitsText(key.limits)}`;
        call.out.result('keys.update', { ...key, dryRun: call.dryRun }, () =>
          call.dryRun ? `Would set the limits of ${text}. Nothing was changed.` : `Limits of ${text}`,
        );
      },
    },
    {
      name: 'rotate',
      summary: 'Make a second key with the same rights; the first stays valid',
      examples: [['slipway keys rotate k3f9', 'give the new one out, then revoke the old one']],
      args: [ID],
      options: [OUT],
      changes: true,
      async run(call) {
        const client = await call.client();
        const key = await client.keys.rotate(call.args[0]!, { dryRun: call.dryRun, signal: call.signal });
        give(call, 'keys.rotate', key);
        if (!call.dryRun)
          call.out.note(`Once it is in use everywhere: ${commandText(call.options, `keys revoke ${call.args[0]}`)}`);
      },
    },
    {
      name: 'revoke',
      summary: 'End a key, everywhere within 5 s',
      examples: [['slipway keys revoke k3f9', 'cannot be undone; make a new key instead']],
      args: [ID],
      changes: true,
      async run(call) {
        const client = await call.client();
        await client.keys.revoke(call.args[0]!, { dryRun: call.dryRun, signal: call.signal });
        call.out.result('keys.revoke', { revoked: call.args[0], dryRun: call.dryRun }, () =>
          call.dryRun
            ? `Would revoke key ${call.args[0]}. Nothing was changed.`
            : `Revoked key ${call.args[0]}; it ends everywhere within 5 s`,
        );
      },
    },
  ],
};

/** As the environment of AWS's clients has them. */
function pairLines({ accessKeyId, secretAccessKey }: NonNullable<NewApiKey['signingPair']>): string[] {
  return [`AWS_ACCESS_KEY_ID=${accessKeyId}`, `AWS_SECRET_ACCESS_KEY=${secretAccessKey}`];
}

const UNITS_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export function parseExpiry(text: string, nowMs: number): string {
  const span = /^(\d+)(m|h|d)$/.exec(text);
  if (span !== null) return new Date(nowMs + Number(span[1]) * UNITS_MS[span[2]!]!).toISOString();
  const time = Date.parse(text);
  if (Number.isNaN(time)) {
    throw new CliError('usage', `--expires is ${JSON.stringify(text)}, which is no time`, {
      hint: 'Write a span such as 90d or 12h, or a date such as 2027-01-31.',
    });
  }
  if (time <= nowMs) throw new CliError('usage', `--expires is ${text}, which has passed`);
  return new Date(time).toISOString();
}

function give(call: VerbCall, kind: string, key: NewApiKey): void {
  const file = call.options.text('out');
  if (file !== undefined && !call.dryRun) {
    const pair = key.signingPair === null ? '' : `${pairLines(key.signingPair).join('\n')}\n`;
    writeFileSync(file, `${key.key}\n${pair}`, { mode: 0o600, flag: 'wx' });
    const { key: _, signingPair: __, ...known } = key;
    call.out.result(kind, { ...known, file }, () => `Key ${key.id} (${cleanLine(key.name)}) is in ${file}`);
    return;
  }
  call.out.result(kind, { ...key, dryRun: call.dryRun }, () =>
    call.dryRun
      ? `Would make a key ${cleanLine(key.name)} with ${key.scopes.join(' ')}. Nothing was changed.`
      : [key.key, ...(key.signingPair === null ? [] : pairLines(key.signingPair))].join('\n'),
  );
  if (!call.dryRun)
    call.out.note(`Key ${key.id} for ${cleanLine(key.name)}: ${key.scopes.join(' ')}. It cannot be shown again.`);
}
