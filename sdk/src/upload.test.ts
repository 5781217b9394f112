import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClient } from './client.ts';
import { fileSource, folderFiles } from './node.ts';
import { digestOfBlob, type UploadProgress } from './upload.ts';

const MIB = 1024 * 1024;

let server: Server;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slipway-sdk-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

type Faults = {
  /** Breaks the connection after this many bytes of a PATCH, once for each entry. */
  breakAfter: number[];
  /** Keeps only this part of what one PATCH carried, and answers as if the connection had broken afterwards. */
  known?: boolean;
};

/** The wire of `/uploads`: bytes are appended, and what came before a break is kept. */
async function listen(faults: Faults): Promise<{ url: string; received: () => Buffer; offsets: number[] }> {
  let announced = { digest: '', sizeBytes: 0 };
  const parts: Buffer[] = [];
  const offsets: number[] = [];
  const length = (): number => parts.reduce((sum, part) => sum + part.length, 0);
  const answer = (response: ServerResponse, status: number): void => {
    const complete = faults.known === true || length() === announced.sizeBytes;
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        id: 'u1',
        ...announced,
        offsetBytes: faults.known === true ? announced.sizeBytes : length(),
        state: complete ? 'complete' : 'open',
        expiresAt: '2030-01-01T00:00:00.000Z',
      }),
    );
  };
  async function patch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const offset = Number(request.headers['upload-offset']);
    offsets.push(offset);
    if (offset !== length()) {
      request.resume();
      response.writeHead(409, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ code: 'offset_conflict', detail: 'continue elsewhere', status: 409 }));
      return;
    }
    const stopAt = faults.breakAfter.shift();
    let got = 0;
    try {
      for await (const chunk of request) {
        parts.push(chunk as Buffer);
        got += (chunk as Buffer).length;
        if (stopAt !== undefined && got >= stopAt) {
          request.socket.destroy();
          return;
        }
      }
      answer(response, 200);
    } catch {
      // the connection broke
    }
  }
  server = createServer(async (request, response) => {
    if (request.method === 'PATCH') return patch(request, response);
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.method === 'POST') announced = JSON.parse(body);
    answer(response, request.method === 'POST' ? 201 : 200);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, received: () => Buffer.concat(parts), offsets };
}

test('a file goes up in pieces, with its digest announced first and progress told', async () => {
  const bytes = randomBytes(20 * MIB);
  writeFileSync(join(folder, 'model.onnx'), bytes);
  const wire = await listen({ breakAfter: [] });
  const told: UploadProgress[] = [];
  const client = createClient({ url: wire.url, apiKey: 'k' });
  const sent = await client.upload(await fileSource(join(folder, 'model.onnx')), { onProgress: (p) => told.push(p) });
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  expect(sent).toEqual({ path: 'model.onnx', digest, sizeBytes: bytes.length });
  expect(wire.received().equals(bytes)).toBe(true);
  expect(wire.offsets.length).toBeGreaterThan(1);
  expect(told.map((one) => one.sentBytes)).toEqual([...told.map((one) => one.sentBytes)].sort((a, b) => a - b));
  expect(told.at(-1)!.sentBytes).toBe(bytes.length);
});

test('after broken connections it goes on where the server stopped, and sends no byte twice', async () => {
  const bytes = randomBytes(18 * MIB);
  writeFileSync(join(folder, 'model.onnx'), bytes);
  const wire = await listen({ breakAfter: [3 * MIB, 1, 5 * MIB] });
  await createClient({ url: wire.url, apiKey: 'k' }).upload(await fileSource(join(folder, 'model.onnx')));
  expect(wire.received().equals(bytes)).toBe(true);
  expect(wire.offsets.length).toBeGreaterThanOrEqual(4);
});

test('a file that the server has already costs no upload', async () => {
  const wire = await listen({ breakAfter: [], known: true });
  const blob = new Blob(['same bytes']);
  const sent = await createClient({ url: wire.url, apiKey: 'k' }).upload({ path: 'a.onnx', blob });
  expect(sent.digest).toBe(await digestOfBlob(blob));
  expect(wire.offsets).toEqual([]);
});

test('it gives up with the cause when no byte gets through any more', async () => {
  const wire = await listen({ breakAfter: Array.from({ length: 20 }, () => 0) });
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 700);
  const upload = createClient({ url: wire.url, apiKey: 'k' }).upload({
    path: 'a',
    blob: new Blob([new Uint8Array(1)]),
  });
  // A server that takes the byte and then breaks is not fruitless: it is asked and has everything.
  await expect(upload).resolves.toMatchObject({ sizeBytes: 1 });
  const gone = createClient({ url: wire.url, apiKey: 'k' });
  await new Promise((resolve) => server.close(resolve).closeAllConnections());
  await expect(gone.upload({ path: 'a', blob: new Blob(['x']) }, { signal: stop.signal })).rejects.toMatchObject({
    status: 0,
  });
});

test('hidden files and links of a folder are left out, paths use slashes', async () => {
  const wire = await listen({ breakAfter: [] });
  expect(wire.url).toContain('127.0.0.1');
  writeFileSync(join(folder, '.secret'), 'x');
  writeFileSync(join(folder, 'model.onnx'), 'x');
  const { mkdirSync, symlinkSync } = await import('node:fs');
  mkdirSync(join(folder, 'weights'));
  writeFileSync(join(folder, 'weights/a.bin'), 'xy');
  symlinkSync('/etc/hostname', join(folder, 'link'));
  expect((await folderFiles(folder)).map((file) => [file.path, file.sizeBytes])).toEqual([
    ['model.onnx', 1],
    ['weights/a.bin', 2],
  ]);
});
