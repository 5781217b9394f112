import { readSettings, SETTINGS, type SettingName } from '../base/settings.ts';
import { CLIENT_SETTINGS } from './client-settings.ts';
import { resolveConnection } from './connection.ts';
import { SERVE_OPTIONS, settingFlags } from './serve/serve-options.ts';
import { cleanLine, formatBytes, table } from './terminal.ts';
import type { VerbCall, VerbSpec } from './verb.ts';

export const config: VerbSpec = {
  name: 'config',
  summary: 'Every setting, its value and where it comes from',
  about:
    'Flag before environment before settings.yaml in the data folder before default: what `slipway serve` started here and now would use. Secrets are hidden.',
  examples: [
    ['slipway config', 'a table of all settings'],
    ['SLIPWAY_HTTP_PORT=9000 slipway config --json', 'the same as a document'],
  ],
  options: SERVE_OPTIONS,
  async run(call) {
    const names = Object.keys(SETTINGS) as SettingName[];
    const { settings, origins } = readSettings(process.env, settingFlags(call.options));
    const server = names.map((name) => ({
      name,
      value: SETTINGS[name].secret ? '(hidden)' : settings[name],
      origin: origins[name] as string,
      env: SETTINGS[name].env as string,
      flag: SETTINGS[name].flag as string,
    }));
    const client = clientRows(call);
    call.out.result('config', { server, client }, () => {
      const columns = [
        { title: 'setting' },
        { title: 'value' },
        { title: 'from' },
        { title: 'environment' },
        { title: 'flag' },
      ];
      const rows = server.map((row) => [row.name, valueText(row.name, row.value), row.origin, row.env, row.flag]);
      const clientText = client.map((row) => [row.name, cleanLine(row.value), row.origin, row.env, row.flag ?? '-']);
      const { paint } = call.out;
      return `${paint('bold', 'Server')}\n${table(columns, rows, paint)}\n${paint('bold', 'Command line')}\n${table(columns, clientText, paint)}`;
    });
  },
};

function clientRows(call: VerbCall) {
  const connection = resolveConnection(
    {
      url: call.options.text('url'),
      keyFile: call.options.text('keyFile'),
      project: call.options.text('project'),
      data: call.options.text('data'),
    },
    process.env,
  );
  const row = (name: keyof typeof CLIENT_SETTINGS, value: string, origin: string) => ({
    name,
    value,
    origin,
    env: CLIENT_SETTINGS[name].env as string,
    flag: CLIENT_SETTINGS[name].flag as string | null,
  });
  const keyFile = call.options.text('keyFile') ?? process.env[CLIENT_SETTINGS.keyFile.env];
  return [
    row('url', connection.url, connection.urlFrom),
    row('inferenceUrl', connection.inferenceUrl ?? 'as the server says', connection.inferenceUrlFrom),
    row('apiKey', connection.apiKey === null ? 'none' : '(hidden)', connection.apiKeyFrom),
    row(
      'keyFile',
      keyFile ?? 'none',
      call.options.text('keyFile') !== undefined ? 'flag' : keyFile ? 'env' : 'default',
    ),
    row('project', connection.project, connection.projectFrom),
  ];
}

function valueText(name: string, value: unknown): string {
  if (name.endsWith('Bytes')) return formatBytes(value as number);
  if (name.endsWith('Ms')) return `${value} ms`;
  if (Array.isArray(value)) return cleanLine(value.join(',')) || 'none';
  return cleanLine(String(value));
}
