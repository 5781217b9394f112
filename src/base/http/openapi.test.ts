import { gunzipSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Type } from 'typebox';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ManagementUnderTest, startManagement } from '../../../test/fixtures/management.ts';
import { registerProjectRoutes } from './management-server.ts';
import type { OpenApiDocument } from './openapi.ts';

let server: ManagementUnderTest;
let document: OpenApiDocument;

beforeEach(async () => {
  server = await startManagement({
    routes: (app) =>
      registerProjectRoutes(app, (scope) => {
        scope.get(
          '/things/:thing/files/*',
          {
            config: { permission: 'read' },
            schema: {
              tags: ['things'],
              summary: 'One file',
              params: Type.Object({ thing: Type.String(), '*': Type.String() }),
              response: { 200: Type.Object({ thing: Type.String() }) },
            },
          },
          async () => ({ thing: 'x' }),
        );
        scope.put(
          '/things/:thing',
          {
            config: { permission: 'deploy' },
            schema: {
              tags: ['things'],
              summary: 'Put',
              params: Type.Object({ thing: Type.String() }),
              body: Type.Object({ n: Type.Integer() }),
            },
          },
          async () => null,
        );
      }),
  });
  document = (await server.call('GET', '/api/openapi.json', { key: null })).json;
});
afterEach(() => server?.close());

describe('the description', () => {
  test('is OpenAPI 3.1 and names every route once, relative to its servers', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.servers.map((one) => one.url)).toEqual(['/api/v1', '/api/v1/projects/{project}']);
    const described = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => {
        const base = (operation.servers?.[0] as { url: string } | undefined)?.url ?? '/api/v1';
        return `${method.toUpperCase()} ${base === '/' ? '' : base}${path}`;
      }),
    );
    const routes = server.app.routeTable
      .filter((entry) => entry.config.mount !== 'named' && entry.schema['hide'] !== true)
      .map((entry) => `${entry.method} ${entry.url.replace(/:(\w+)/g, '{$1}').replace('/*', '/{*}')}`);
    expect(described.sort()).toEqual([...new Set(routes)].sort());
  });

  test('gives every operation an id of its own, a tag, a summary, its permission, its keys and the form of errors', () => {
    const ids = new Set<string>();
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const name = `${method} ${path}`;
        expect(operation.operationId, name).toMatch(/^[a-z][A-Za-z0-9]+$/);
        expect(ids.has(operation.operationId ?? ''), name).toBe(false);
        ids.add(operation.operationId ?? '');
        expect(operation.tags?.length, name).toBe(1);
        expect(operation.summary, name).toBeTruthy();
        expect(operation['x-slipway-permission'], name).toMatch(/^(read|predict|deploy|promote|admin|public|any-key)$/);
        expect(operation.security, name).toHaveLength(operation['x-slipway-permission'] === 'public' ? 0 : 2);
        expect(operation.responses?.['default'], name).toEqual({ $ref: '#/components/responses/Problem' });
        expect(Object.keys(operation.responses ?? {}).length, name).toBeGreaterThan(1);
      }
    }
  });

  test('describes every answer in words', () => {
    const described = Object.values(document.paths).flatMap((operations) =>
      Object.values(operations).flatMap((operation) =>
        Object.entries(operation.responses ?? {}).flatMap(([status, answer]) =>
          status === 'default' ? [] : [answer.description],
        ),
      ),
    );
    expect(described.length).toBeGreaterThan(5);
    for (const text of described) expect(text).toMatch(/^[A-Z](?!efault Response)/);
  });

  test('has no reference that leads nowhere', () => {
    for (const [, pointer] of JSON.stringify(document).matchAll(/"\$ref":"#([^"]*)"/g)) {
      let at: unknown = document;
      for (const part of pointer!.split('/').slice(1)) at = (at as Record<string, unknown>)[part];
      expect(at, pointer).toBeDefined();
    }
  });

  test('says that bodies take no further properties and that changes take dryRun', () => {
    const put = document.paths['/things/{thing}']!['put'] as unknown as {
      parameters: { name: string; in: string }[];
      requestBody: { content: { 'application/json': { schema: { additionalProperties: unknown } } } };
    };
    expect(put.parameters.map((one) => `${one.in} ${one.name}`).sort()).toEqual(['path thing', 'query dryRun']);
    expect(put.requestBody.content['application/json'].schema.additionalProperties).toBe(false);
  });

  test('describes problems as they are', async () => {
    const check = new Ajv2020({ strict: false }).compile(document.components.schemas['Problem'] as object);
    const answers = [
      await server.call('GET', '/nowhere'),
      await server.call('GET', '/api/v1/keys', { key: null }),
      await server.call('POST', '/api/v1/keys', { body: { nmae: 1 } }),
    ];
    for (const { json } of answers) expect(check(json), JSON.stringify(check.errors)).toBe(true);
  });

  test('and every schema behind it compiles', () => {
    expect(() => server.app.compileSchemas()).not.toThrow();
  });
});

describe('the page', () => {
  test('and its script come from this server, with a policy that lets nothing else in', async () => {
    const page = await server.call('GET', '/api/docs', { key: null });
    expect(page.status).toBe(200);
    const policy = String(page.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).not.toMatch(/https?:|\*|unsafe-eval/);
    const sources = [...page.text.matchAll(/(?:src|href|data-url)="([^"]+)"/g)].map((match) => match[1]!);
    expect(sources).toEqual(['data:,', '/api/openapi.json', '/api/docs/browser.js']);
    const raw = await server.app.inject({ url: sources[2]! });
    expect(raw.statusCode).toBe(200);
    expect(raw.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(raw.rawPayload).length).toBeGreaterThan(1_000_000);
  });
});
