/** A proxy before a server, as those of companies are: it takes a prefix off, and it may be slow, ill, or deaf. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Transform } from 'node:stream';

export type Mood = {
  /** Which paths it concerns. */
  readonly paths: RegExp;
  readonly delayMs?: number;
  /** Answered instead of the server's answer. */
  readonly status?: number;
  /** What an answer goes through on its way back. */
  readonly change?: () => Transform;
};

export type Proxy = {
  readonly url: string;
  /** How it behaves from now on; null: it passes everything on. */
  set(mood: Mood | null): void;
  close(): void;
};

/** @param prefix taken off the path of what is asked */
export async function openProxy(target: string, prefix = ''): Promise<Proxy> {
  const { hostname, port } = new URL(target);
  let mood: Mood | null = null;
  const pass = (asked: IncomingMessage, answer: ServerResponse, path: string): void => {
    const here = mood?.paths.test(path) ? mood : null;
    if (here?.status !== undefined) {
      answer.writeHead(here.status, { 'content-type': 'text/html' });
      answer.end('<h1>Bad gateway</h1>');
      return;
    }
    const passed = request({ hostname, port, path, method: asked.method, headers: asked.headers }, (said) => {
      answer.writeHead(said.statusCode!, said.headers);
      if (here?.change) said.pipe(here.change()).pipe(answer);
      else said.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    answer.on('close', () => passed.destroy());
    asked.pipe(passed);
  };
  const server = createServer((asked, answer) => {
    const path = (asked.url ?? '').replace(prefix, '');
    const delayMs = mood?.paths.test(path) ? (mood.delayMs ?? 0) : 0;
    if (delayMs === 0) pass(asked, answer, path);
    else setTimeout(pass, delayMs, asked, answer, path);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    set(next) {
      mood = next;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
