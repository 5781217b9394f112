/**
 * The one way by which the server asks addresses that people typed in. Such an address may be meant to reach what only the server can reach, so
 * private ones are refused unless the operator listed the host; the name is resolved once and that very address is connected to; redirects
 * are not followed; time and bytes are bounded; no credentials are sent.
 */
import { lookup as resolveName } from 'node:dns/promises';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { BlockList, isIP, isIPv6 } from 'node:net';

/** Addresses that are not of the public internet (RFC 6890 and successors). */
const PRIVATE_4 = new BlockList();
/** A list of its own: Node holds IPv4 addresses against networks of mapped ones too. */
const PRIVATE_6 = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  PRIVATE_4.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 96],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  PRIVATE_6.addSubnet(network, bits, 'ipv6');

/** Addresses that carry another inside (mapped, translated, 6to4) count as private: nobody needs to name one so. */
export function isPrivateAddress(address: string): boolean {
  return isIPv6(address) ? PRIVATE_6.check(address, 'ipv6') : PRIVATE_4.check(address, 'ipv4');
}

export type Outbound = {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  /** `host` or `host:port` that the operator trusts: may be private, and spoken to without TLS. */
  readonly allowedHosts: readonly string[];
  /** How a host comes to be among them, for messages; the operator's setting unless told. */
  readonly trustedWhere?: string;
};

const OPERATOR_LISTS = 'the operator lists it in SLIPWAY_EXTERNAL_HOSTS';

/**
 * @returns status and text of the answer
 * @throws Error with a sentence for people: refused, unreachable, too slow, too large
 */
export async function askOutside(asked: Outbound): Promise<{ readonly status: number; readonly text: string }> {
  const limit = AbortSignal.timeout(asked.timeoutMs);
  const { url, address } = await judged(asked, limit);
  return withLimit(send(url, address, asked, limit), limit, asked.timeoutMs);
}

/**
 * The same for what is too large to be kept: gives the answer when its head has come, to be read as a stream by whoever asked, who bounds its bytes.
 * @throws Error as `askOutside`
 */
export async function openOutside(
  asked: Omit<Outbound, 'maxBytes' | 'body' | 'method'> & { readonly signal?: AbortSignal },
): Promise<IncomingMessage> {
  const limit = AbortSignal.timeout(asked.timeoutMs);
  const signal = asked.signal === undefined ? limit : AbortSignal.any([limit, asked.signal]);
  const { url, address } = await judged(asked, signal);
  return open(url, address, { method: 'GET', accept: '*/*', body: null }, signal);
}

/** @throws Error where the address may not be asked */
async function judged(
  asked: Pick<Outbound, 'url' | 'allowedHosts' | 'timeoutMs' | 'trustedWhere'>,
  limit: AbortSignal,
): Promise<{ readonly url: URL; readonly address: string }> {
  const { trustedWhere = OPERATOR_LISTS } = asked;
  const url = URL.parse(asked.url);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Error('the address is not http or https');
  if (url.username !== '' || url.password !== '') throw new Error('the address must not carry a user or password');
  const isTrusted = asked.allowedHosts.includes(url.hostname) || asked.allowedHosts.includes(url.host);
  if (url.protocol === 'http:' && !isTrusted)
    throw new Error(`${url.host} is only asked over https, unless ${trustedWhere}`);
  const address = await withLimit(addressOf(url.hostname), limit, asked.timeoutMs);
  if (!isTrusted && isPrivateAddress(address))
    throw new Error(`${url.hostname} is a private address, which is not asked unless ${trustedWhere}`);
  return { url, address };
}

async function addressOf(hostname: string): Promise<string> {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(bare) !== 0) return bare;
  try {
    return (await resolveName(bare)).address;
  } catch {
    throw new Error(`${bare} cannot be found`);
  }
}

async function withLimit<T>(work: Promise<T>, limit: AbortSignal, timeoutMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const give = (): void => reject(new Error(`there was no answer within ${timeoutMs} ms`));
  if (limit.aborted) give();
  limit.addEventListener('abort', give, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    limit.removeEventListener('abort', give);
    // whoever loses the race may still fail, and nobody listens any more
    work.catch(() => undefined);
    promise.catch(() => undefined);
  }
}

async function send(
  url: URL,
  address: string,
  asked: Outbound,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const body = asked.body === undefined ? null : JSON.stringify(asked.body);
  const answer = await open(url, address, { method: asked.method ?? 'GET', accept: 'application/json', body }, signal);
  return { status: answer.statusCode ?? 0, text: await read(answer, asked.maxBytes) };
}

function open(
  url: URL,
  address: string,
  { method, accept, body }: { readonly method: 'GET' | 'POST'; readonly accept: string; readonly body: string | null },
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const family = isIPv6(address) ? 6 : 4;
  const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(
    url,
    {
      method,
      signal,
      agent: false,
      // what was judged is what is connected to
      lookup: (_name, options, found) =>
        options.all ? found(null, [{ address, family }]) : found(null, address, family),
      headers: {
        accept,
        'user-agent': 'slipway',
        ...(body !== null && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
    },
    resolve,
  );
  request.on('error', (error) => reject(new Error(`${url.host} cannot be reached: ${plainCause(error)}`)));
  request.end(body ?? undefined);
  return promise;
}

async function read(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maxBytes) {
      answer.destroy();
      throw new Error(`the answer has more than ${maxBytes} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function plainCause(error: Error): string {
  const { code } = error as { code?: string };
  return code ?? error.name;
}
