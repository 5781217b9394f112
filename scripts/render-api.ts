import { fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processGroups, programPath } from '../src/cli/processes.ts';

type Parameter = { name: string; in: string; required?: boolean; description?: string };
type Operation = {
  summary?: string;
  tags?: string[];
  parameters?: Parameter[];
  servers?: unknown[];
  [extension: `x-${string}`]: unknown;
};
type OpenApi = { servers?: { url: string; description?: string }[]; paths: Record<string, Record<string, Operation>> };

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

/** The description of the management API as a server of this checkout gives it, and a page of its routes. */
export async function renderApi(): Promise<{ document: string; page: string }> {
  const api = await askServer();
  return { document: JSON.stringify(api, null, 2), page: renderPage(api) };
}

/** Starts control alone, in a folder of its own and on a free port. */
async function askServer(): Promise<OpenApi> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-reference-'));
  mkdirSync(join(folder, 'run'));
  const row = processGroups(1)
    .flat()
    .find((other) => other.name === 'control')!;
  const child = fork(programPath('control'), {
    cwd: join(folder, 'run'),
    execArgv: [...row.flags],
    env: {
      PATH: process.env['PATH'],
      SLIPWAY_DATA: folder,
      SLIPWAY_CONTROL_PORT: '0',
      SLIPWAY_HTTP_PORT: '0',
      SLIPWAY_GRPC_PORT: 'off',
    },
    silent: true,
  });
  try {
    const url = await new Promise<string>((resolve, reject) => {
      child.on('message', (message: { type: string; url?: string; message?: string }) => {
        if (message.type === 'ready') resolve(message.url!);
        if (message.type === 'fatal') reject(new Error(message.message));
      });
      child.on('exit', (code) => reject(new Error(`control ended with code ${code} before it was ready`)));
    });
    return (await (await fetch(`${url}/api/openapi.json`)).json()) as OpenApi;
  } finally {
    if (child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

function renderPage(api: OpenApi): string {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method] !== undefined).map((method) => ({
      path,
      method,
      operation: methods[method]!,
    })),
  );
  const tags = [...new Set(operations.map(({ operation }) => operation.tags?.[0] ?? 'other'))].sort();
  const sections = tags.map((tag) => {
    const rows = operations
      .filter(({ operation }) => (operation.tags?.[0] ?? 'other') === tag)
      .map(({ path, method, operation }) => {
        const permission = String(operation['x-slipway-permission'] ?? '');
        const query = (operation.parameters ?? []).filter((one) => one.in === 'query').map((one) => `\`${one.name}\``);
        return `| \`${method.toUpperCase()} ${path}\` | ${permission} | ${operation.summary ?? ''}${query.length > 0 ? ` (${query.join(', ')})` : ''} |`;
      });
    return `## ${tag}\n\n| Route | Permission | |\n| --- | --- | --- |\n${rows.join('\n')}`;
  });
  const servers = (api.servers ?? []).map((server) => `- \`${server.url}\` ${server.description ?? ''}`.trimEnd());
  return `# Management API

<!-- Made by \`npm run reference\`; do not edit. -->

The whole description, with every field, is [openapi.json](openapi.json) (OpenAPI 3.1): made from the schemas that validate requests, served at
\`/api/openapi.json\`, with a page to browse it at \`/api/docs\`. Paths below are relative to one of

${servers.join('\n')}

${sections.join('\n\n')}
`;
}
