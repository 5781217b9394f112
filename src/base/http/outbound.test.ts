import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { askOutside, isPrivateAddress } from './outbound.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listening(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((done) => server.once('listening', done));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const ask = (url: string, more: Partial<Parameters<typeof askOutside>[0]> = {}) =>
  askOutside({ url, timeoutMs: 500, maxBytes: 1000, allowedHosts: [], ...more });

describe('an address that people typed in', () => {
  it.each([
    'http://127.0.0.1/',
    'http://example.com/',
    'https://127.0.0.1/',
    'https://localhost/',
    'https://2130706433/',
    'https://0177.0.0.1/',
    'https://0x7f.1/',
    'https://10.1.2.3/',
    'https://169.254.169.254/latest/meta-data',
    'https://[::1]/',
    'https://[::ffff:169.254.169.254]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://100.64.0.1/',
    'https://0.0.0.0/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'https://user:secret@example.com/',
    'nonsense',
  ])('that is not for the server to reach is refused: %s', async (url) => {
    await expect(ask(url)).rejects.toThrow(/private address|only asked over https|not http|user or password/);
  });

  it('is asked when the operator lists its host, with or without the port', async () => {
    const host = await listening((_request, response) => response.end('{"value":3}'));
    for (const allowedHosts of [[host], ['127.0.0.1']])
      expect(await ask(`http://${host}/x`, { allowedHosts })).toEqual({ status: 200, text: '{"value":3}' });
    await expect(ask(`http://${host}/x`, { allowedHosts: ['127.0.0.1:1'] })).rejects.toThrow('SLIPWAY_EXTERNAL_HOSTS');
  });

  it('gets a JSON body and no credentials', async () => {
    let seen = '';
    const host = await listening((request, response) => {
      request.on('data', (part: Buffer) => {
        seen += part.toString();
      });
      request.on('end', () => response.end(JSON.stringify(request.headers)));
    });
    const got = await ask(`http://${host}/`, { allowedHosts: [host], method: 'POST', body: { a: 1 } });
    expect(seen).toBe('{"a":1}');
    expect(Object.keys(JSON.parse(got.text) as object)).not.toContain('authorization');
  });

  it('is not followed elsewhere', async () => {
    const host = await listening((_request, response) => {
      response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    });
    expect(await ask(`http://${host}/`, { allowedHosts: [host] })).toMatchObject({ status: 302 });
  });

  it('that answers late, too much, half, or not at all is an error in words', async () => {
    const late = await listening(() => undefined);
    await expect(ask(`http://${late}/`, { allowedHosts: [late], timeoutMs: 50 })).rejects.toThrow('within 50 ms');
    const large = await listening((_request, response) => response.end('x'.repeat(2000)));
    await expect(ask(`http://${large}/`, { allowedHosts: [large] })).rejects.toThrow('more than 1000 bytes');
    const half = await listening((_request, response) => {
      response.writeHead(200, { 'content-length': 50 });
      response.write('x');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(ask(`http://${half}/`, { allowedHosts: [half] })).rejects.toThrow();
    const dripping = await listening((_request, response) => {
      const timer = setInterval(() => response.write('x'), 10);
      response.on('close', () => clearInterval(timer));
    });
    await expect(ask(`http://${dripping}/`, { allowedHosts: [dripping], timeoutMs: 200 })).rejects.toThrow(
      'within 200 ms',
    );
    const gone = await listening(() => undefined);
    servers.at(-1)!.close();
    await expect(ask(`http://${gone}/`, { allowedHosts: [gone] })).rejects.toThrow('cannot be reached: ECONNREFUSED');
  });

  it('is public or private by its network', () => {
    expect(['8.8.8.8', '1.1.1.1', '2606:4700::1111'].map(isPrivateAddress)).toEqual([false, false, false]);
    expect(['172.31.0.1', '192.168.1.1', '::', 'ff02::1', '224.0.0.1'].every(isPrivateAddress)).toBe(true);
  });
});
