import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type { Static } from 'typebox';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type * as wire from '../../sdk/src/types.ts';
import { type ManagementUnderTest, startManagement } from '../../test/fixtures/management.ts';
import { modelBytes, passed } from '../../test/fixtures/registry.ts';
import { registerProjectRoutes } from '../base/http/management-server.ts';
import { readSettings } from '../base/settings.ts';
import type { AliasChangeSchema, AliasSchema } from './alias-routes.ts';
import { createFileStore } from './artifacts/file-store.ts';
import type { UploadSchema } from './artifacts/upload-routes.ts';
import { limitsOfSettings } from './limits.ts';
import { digestOf } from './manifest.ts';
import type { ModelSchema } from './model-routes.ts';
import { createRegistry, type Registry } from './registry.ts';
import { registerArtifactRoutes, registerRegistryRoutes } from './registry-routes.ts';
import type { CreateVersionBody, SignatureDiffSchema, VersionSchema } from './version-schema.ts';

// The schemas and the SDK's types say the same; this is checked when types are.
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
const same: [
  Same<Static<typeof VersionSchema>, wire.Version>,
  Same<Static<typeof ModelSchema>, wire.Model>,
  Same<Static<typeof AliasSchema>, wire.Alias>,
  Same<Static<typeof AliasChangeSchema>, wire.AliasChange>,
  Same<Static<typeof UploadSchema>, wire.Upload>,
  Same<Static<typeof CreateVersionBody>, wire.CreateVersion>,
  Same<Static<typeof SignatureDiffSchema>, wire.SignatureDiff>,
] = [true, true, true, true, true, true, true];

const add = modelBytes('add.onnx');
const MIB = 1024 * 1024;
let server: ManagementUnderTest;
let registry: Registry;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-routes-'));
  server = await startManagement({
    routes: (app, { database, clock, log }) => {
      registry = createRegistry({
        database,
        clock,
        log,
        artifacts: createFileStore({ root: join(folder, 'artifacts') }),
        engines: [{ name: 'onnxruntime', formats: ['onnx'] }],
        limits: limitsOfSettings(readSettings({}).settings),
        maxUploadBytes: 2 ** 34,
        validate: async () => passed(),
        endpoints: {
          serving: async () => [],
          ofModel: async () => [],
          following: async () => [],
          signature: async () => null,
          assertAliasMovable: async () => undefined,
          noteAliasMove: async () => undefined,
        },
        onChange: () => undefined,
      });
      registerArtifactRoutes(app, registry);
      registerProjectRoutes(app, (scope) => registerRegistryRoutes(scope, registry));
    },
  });
});
afterEach(async () => {
  registry.stop();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const api = (path: string) => `/api/v1${path}`;

async function upload(bytes: Buffer, base = '/api/v1'): Promise<string> {
  const digest = digestOf(bytes);
  const announced = await server.call('POST', `${base}/uploads`, { body: { digest, sizeBytes: bytes.length } });
  expect([200, 201]).toContain(announced.status);
  if (announced.json.state === 'complete') return digest;
  const sent = await server.app.inject({
    method: 'PATCH',
    url: `${base}/uploads/${announced.json.id}`,
    headers: {
      authorization: `Bearer ${server.adminKey}`,
      'content-type': 'application/octet-stream',
      'upload-offset': String(announced.json.offsetBytes),
    },
    payload: bytes,
  });
  expect(sent.statusCode, sent.payload).toBe(200);
  expect(sent.json().state).toBe('complete');
  return digest;
}

async function push(model: string, bytes = add, headers: Record<string, string> = {}) {
  await server.call('POST', api('/models'), { body: { name: model } });
  const files = [{ path: 'model.onnx', digest: await upload(bytes) }];
  return server.call('POST', api(`/models/${model}/versions`), { body: { files }, headers });
}

describe('from a file to a version over HTTP', () => {
  it('announce, send, register, wait, read back', async () => {
    expect(same.every(Boolean)).toBe(true);
    const made = await push('churn', add, { 'idempotency-key': 'one' });
    expect(made.status).toBe(201);
    expect(made.headers['etag']).toBe('"1"');
    const ready = await server.call('GET', api('/models/churn/versions/1?waitMs=5000'));
    expect(ready.json).toMatchObject({ status: 'ready', version: 1, digest: made.json.digest });
    const again = await push('churn', add, { 'idempotency-key': 'one' });
    expect(again.text).toBe(made.text);
    const manifest = await server.call('GET', api('/models/churn/versions/latest/manifest'));
    expect(manifest.headers['content-type']).toContain('application/vnd.oci.image.manifest.v1+json');
    expect(`sha256:${createHash('sha256').update(manifest.text).digest('hex')}`).toBe(made.json.digest);
    const list = await server.call('GET', api('/models/churn/versions?limit=1'));
    expect(list.json).toMatchObject({ items: [{ version: 1 }], nextCursor: null });
  });

  it('files come as attachments that no browser runs', async () => {
    await server.call('POST', api('/models'), { body: { name: 'churn' } });
    const page = Buffer.from('<script>alert(1)</script>');
    const path = 'docs/a "b";\u00e4.html';
    const files = [
      { path: 'model.onnx', digest: await upload(add) },
      { path, digest: await upload(page) },
    ];
    await server.call('POST', api('/models/churn/versions'), { body: { files } });
    const answer = await server.call('GET', api(`/models/churn/versions/1/files/${encodeURIComponent(path)}`));
    expect(answer.text).toBe(page.toString());
    expect(answer.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-length': String(page.length),
      'content-disposition': `attachment; filename="a__b___.html"; filename*=UTF-8''a%20%22b%22%3B%C3%A4.html`,
      etag: `"${digestOf(page)}"`,
    });
  });

  it.each([
    '..%2f..%2fetc%2fpasswd',
    '%252e%252e%252fmodel.onnx',
    '..%5cmodel.onnx',
    'model.onnx%00',
    'model.onnx;x',
    '%2fetc%2fpasswd',
  ])('the file path %s leads nowhere', async (path) => {
    await push('churn');
    const answer = await server.call('GET', api(`/models/churn/versions/1/files/${path}`));
    expect(answer.status).toBe(404);
    expect(answer.json.code).toBe('blob_not_found');
    expect(answer.text).not.toContain(folder);
  });

  it('an alias is set, followed, guarded by its revision, and its history read', async () => {
    await push('churn');
    await push('churn');
    const put = (version: number, headers = {}) =>
      server.call('PUT', api('/models/churn/aliases/champion'), { body: { version, reason: 'r' }, headers });
    expect((await put(1)).json).toMatchObject({ version: 1, revision: 1 });
    expect((await put(2, { 'if-match': '"9"' })).status).toBe(412);
    expect((await put(2, { 'if-match': '"1"' })).json).toMatchObject({ version: 2, revision: 2 });
    expect((await server.call('GET', api('/models/churn/versions/champion'))).json.version).toBe(2);
    const history = await server.call('GET', api('/models/churn/aliases/champion/history?limit=1'));
    expect(history.json.items).toMatchObject([{ from: 1, to: 2, reason: 'r' }]);
    const next = await server.call(
      'GET',
      api(`/models/churn/aliases/champion/history?cursor=${history.json.nextCursor}`),
    );
    expect(next.json).toMatchObject({ items: [{ from: null, to: 1 }], nextCursor: null });
    expect((await server.call('DELETE', api('/models/churn/aliases/champion?reason=done'))).status).toBe(204);
    expect((await server.call('GET', api('/models/churn/aliases'))).json.items).toEqual([]);
  });

  it('words about models and versions change; a mistyped one is told', async () => {
    await push('churn');
    const patched = await server.call('PATCH', api('/models/churn'), {
      body: { description: 'Who leaves', tags: { team: 'crm' } },
    });
    expect(patched.json).toMatchObject({ description: 'Who leaves', tags: { team: 'crm' }, revision: 2 });
    const wrong = await server.call('PATCH', api('/models/churn'), { body: { descripton: 'x' } });
    expect(wrong.json.errors[0].message).toContain('did you mean description?');
    const tag = await server.call('PATCH', api('/models/churn/versions/1'), { body: { tags: { 'a b': 'x' } } });
    expect(tag.status).toBe(400);
    expect((await server.call('DELETE', api('/models/churn/versions/1'))).status).toBe(204);
    expect((await server.call('DELETE', api('/models/churn'))).status).toBe(204);
    expect((await server.call('GET', api('/models/churn'))).json.code).toBe('model_not_found');
  });

  it('a refused model says why and what to do', async () => {
    await server.call('POST', api('/models'), { body: { name: 'churn' } });
    const files = [{ path: 'model.pkl', digest: await upload(randomBytes(100)) }];
    const answer = await server.call('POST', api('/models/churn/versions'), { body: { files } });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({ code: 'model_invalid', hint: expect.stringContaining('Save it again') });
  });

  it('another project has none of it', async () => {
    await push('churn');
    await server.call('POST', api('/projects'), { body: { name: 'other' } });
    const theirs = await server.call('GET', api('/projects/other/models/churn'));
    expect(theirs).toMatchObject({ status: 404, json: { code: 'model_not_found' } });
    const bytes = modelBytes('add-two.onnx');
    await upload(bytes, '/api/v1/projects/other');
    const mine = await server.call('POST', api('/uploads'), {
      body: { digest: digestOf(bytes), sizeBytes: bytes.length },
    });
    expect(mine.json.state).toBe('open');
  });

  it('collecting is for administrators', async () => {
    const answer = await server.call('POST', api('/artifacts/collect?dryRun=1'));
    expect(answer).toMatchObject({ status: 200, json: { blobs: 0, bytes: 0, uploads: 0 } });
    const key = await server.makeKey('dev', ['deploy']);
    expect((await server.call('POST', api('/artifacts/collect'), { key })).json.code).toBe('not_permitted');
  });
});

describe('bytes over a real connection', () => {
  let port: number;
  beforeEach(async () => {
    await server.app.listen({ host: '127.0.0.1', port: 0 });
    port = (server.app.server.address() as AddressInfo).port;
  });

  const patch = (id: string, offset: number, sizeBytes: number): ClientRequest =>
    request({
      host: '127.0.0.1',
      port,
      method: 'PATCH',
      path: `/api/v1/uploads/${id}`,
      headers: {
        authorization: `Bearer ${server.adminKey}`,
        'content-type': 'application/octet-stream',
        'content-length': sizeBytes,
        'upload-offset': offset,
      },
    });
  const answerOf = (sent: ClientRequest): Promise<{ status: number; json: wire.Upload & { code?: string } }> =>
    new Promise((resolve, reject) => {
      sent.on('error', reject);
      sent.on('response', async (response) => {
        const text = Buffer.concat(await response.toArray()).toString();
        resolve({ status: response.statusCode!, json: JSON.parse(text) });
      });
    });

  it('a connection that breaks in the middle leaves what came, and the next one goes on', async () => {
    const bytes = randomBytes(4 * MIB);
    const { json } = await server.call('POST', api('/uploads'), {
      body: { digest: digestOf(bytes), sizeBytes: bytes.length },
    });
    const first = patch(json.id, 0, bytes.length);
    first.on('error', () => undefined);
    first.write(bytes.subarray(0, MIB));
    const offset = async (): Promise<number> => (await server.call('GET', api(`/uploads/${json.id}`))).json.offsetBytes;
    while ((await offset()) < MIB) await pause(5);
    first.destroy();
    for (let wait = 0; ; wait++) {
      const at = await offset();
      const second = patch(json.id, at, bytes.length - at);
      const answered = answerOf(second);
      second.end(bytes.subarray(at));
      const { status, json: upload } = await answered;
      if (status === 200) {
        expect(upload.state).toBe('complete');
        break;
      }
      // The server notices the end of the first connection a moment later.
      expect(upload.code).toBe('offset_conflict');
      expect(wait).toBeLessThan(100);
      await pause(20);
    }
  });

  it('memory does not grow with the file', async () => {
    // 1 GiB and the promised 150 MB with SLIPWAY_TEST_UPLOAD_BYTES=1073741824; smaller by default, as every run writes it to disk.
    const sizeBytes = Number(process.env['SLIPWAY_TEST_UPLOAD_BYTES'] ?? 320 * MIB);
    const limitBytes = 150_000_000;
    const chunk = Buffer.alloc(MIB, 'zeros and more ');
    const chunks = Math.floor(sizeBytes / MIB);
    const hash = createHash('sha256');
    for (let i = 0; i < chunks; i++) hash.update(chunk);
    const digest = `sha256:${hash.digest('hex')}`;
    const { json } = await server.call('POST', api('/uploads'), { body: { digest, sizeBytes: chunks * MIB } });
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss);
    }, 5);
    const sent = patch(json.id, 0, chunks * MIB);
    const answered = answerOf(sent);
    let given = 0;
    Readable.from(
      (function* () {
        for (; given < chunks; given++) yield chunk;
      })(),
      { objectMode: true, highWaterMark: 1 },
    ).pipe(sent);
    const { json: upload } = await answered;
    clearInterval(watch);
    expect(upload).toMatchObject({ state: 'complete', offsetBytes: chunks * MIB });
    expect(sizeBytes).toBeGreaterThan(2 * limitBytes);
    // Client and server share this process, so this bounds both together.
    expect(peak - before).toBeLessThan(limitBytes);
  }, 120_000);

  it('an unknown upload, or a body of another type, is refused', async () => {
    const sent = patch(randomUUID(), 0, 3);
    const answered = answerOf(sent);
    sent.end('abc');
    expect(await answered).toMatchObject({ status: 404, json: { code: 'upload_not_found' } });
    const { json } = await server.call('POST', api('/uploads'), { body: { digest: digestOf('abc'), sizeBytes: 3 } });
    const typed = await server.call('PATCH', api(`/uploads/${json.id}`), {
      body: { a: 1 },
      headers: { 'upload-offset': '0' },
    });
    expect(typed.json.code).toBe('unsupported_media');
    const without = await server.app.inject({
      method: 'PATCH',
      url: api(`/uploads/${json.id}`),
      headers: { authorization: `Bearer ${server.adminKey}`, 'content-type': 'application/octet-stream' },
      payload: 'abc',
    });
    expect(without.json()).toMatchObject({ code: 'invalid_request', errors: [{ pointer: '/headers/upload-offset' }] });
  });
});
