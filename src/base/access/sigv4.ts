/**
 * AWS Signature Version 4, as its verifier: AWS IAM User Guide, "Create a signed AWS API request" (the form in the Authorization header).
 * A request is signed with a secret that both sides know, so that the secret itself is never sent.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';

export type SignedRequest = {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
};

/** What the Authorization header says. */
export type Authorization = {
  readonly accessKeyId: string;
  /** `20260131` */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  /** Hex. */
  readonly signature: string;
};

const ALGORITHM = 'AWS4-HMAC-SHA256';
const CREDENTIAL = /^([^/\s]{1,128})\/(\d{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/i;
const SIGNATURE = /^[0-9a-f]{64}$/;
const HEADER_NAMES = /^[!#$%&'*+\-.^_`|~0-9a-z]+(?:;[!#$%&'*+\-.^_`|~0-9a-z]+)*$/;
const TIME = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;
const UNSIGNED = 'UNSIGNED-PAYLOAD';

export function isSigned(authorization: string | undefined): boolean {
  return authorization?.startsWith(ALGORITHM) === true;
}

/** @returns null where it is not whole: then nothing of it counts */
export function parseAuthorization(header: string): Authorization | null {
  if (!header.startsWith(`${ALGORITHM} `)) return null;
  const parts = new Map<string, string>();
  for (const part of header.slice(ALGORITHM.length + 1).split(',')) {
    const [, name, value] = /^\s*([A-Za-z]+)=(\S+)\s*$/.exec(part) ?? [];
    if (name === undefined || parts.has(name)) return null;
    parts.set(name, value!);
  }
  const [, accessKeyId, date, region, service] = CREDENTIAL.exec(parts.get('Credential') ?? '') ?? [];
  const names = parts.get('SignedHeaders') ?? '';
  const signature = parts.get('Signature') ?? '';
  if (accessKeyId === undefined || parts.size !== 3 || !HEADER_NAMES.test(names) || !SIGNATURE.test(signature))
    return null;
  return { accessKeyId, date: date!, region: region!, service: service!, signedHeaders: names.split(';'), signature };
}

/** The time of `X-Amz-Date`, `20260131T235959Z`, in milliseconds; null where it is none. */
export function parseAmzDate(text: unknown): number | null {
  const parts = typeof text === 'string' ? TIME.exec(text) : null;
  if (parts === null) return null;
  const [, year, month, day, hour, minute, second] = parts;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time) ? null : time;
}

/**
 * Whether the signature is the one of this request. Takes the same time wherever they differ.
 * @param key as `signingKey` makes it for what the authorization names
 */
export function isSignedBy(key: Buffer, request: SignedRequest, authorization: Authorization): boolean {
  const expected = Buffer.from(signatureOf(key, request, authorization), 'hex');
  return timingSafeEqual(expected, Buffer.from(authorization.signature, 'hex'));
}

/** Hex. */
export function signatureOf(key: Buffer, request: SignedRequest, signed: Omit<Authorization, 'signature'>): string {
  const { date, region, service } = signed;
  const canonical = hash('sha256', canonicalRequest(request, signed.signedHeaders), 'hex');
  const time = String(request.headers['x-amz-date']);
  const text = `${ALGORITHM}\n${time}\n${date}/${region}/${service}/aws4_request\n${canonical}`;
  return hmac(key, text).toString('hex');
}

/** A key for one day, region and service: what the secret itself signs. */
export function signingKey(secret: string, date: string, region: string, service: string): Buffer {
  return [date, region, service, 'aws4_request'].reduce<Buffer | string>(hmac, `AWS4${secret}`) as Buffer;
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export function canonicalRequest(request: SignedRequest, signedHeaders: readonly string[]): string {
  const { method, url, headers, body } = request;
  const cut = url.indexOf('?');
  const path = cut === -1 ? url : url.slice(0, cut);
  const query = cut === -1 ? '' : url.slice(cut + 1);
  const lines = signedHeaders.map((name) => `${name}:${headerText(headers[name])}\n`).join('');
  return [
    method,
    canonicalPath(path),
    canonicalQuery(query),
    lines,
    signedHeaders.join(';'),
    payloadHash(headers, body),
  ].join('\n');
}

/** Of the body that came, whatever a header says that it is. */
function payloadHash(headers: SignedRequest['headers'], body: Uint8Array): string {
  if (headers['x-amz-content-sha256'] === UNSIGNED) return UNSIGNED;
  return hash('sha256', body, 'hex');
}

/** Whether the body is not part of what was signed, as some services allow over TLS. */
export function isPayloadUnsigned(headers: SignedRequest['headers']): boolean {
  return headers['x-amz-content-sha256'] === UNSIGNED;
}

function headerText(value: string | readonly string[] | undefined): string {
  const text = value === undefined ? '' : typeof value === 'string' ? value : value.join(',');
  return text.trim().replace(/ {2,}/g, ' ');
}

/** Without `.`, `..` and empty segments (RFC 3986 §5.2.4), then encoded once more than it was sent, which is the rule for all services but S3. */
function canonicalPath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const end = kept.length > 0 && path.endsWith('/') ? '/' : '';
  return encode(`/${kept.join('/')}${end}`, true);
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  const pairs = query.split('&').map((pair): [string, string] => {
    const cut = pair.indexOf('=');
    return cut === -1 ? [recode(pair), ''] : [recode(pair.slice(0, cut)), recode(pair.slice(cut + 1))];
  });
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  pairs.sort((a, b) => order(a[0], b[0]) || order(a[1], b[1]));
  return pairs.map(([name, value]) => `${name}=${value}`).join('&');
}

/** What may have been sent in any encoding, in the one that is signed. */
function recode(text: string): string {
  try {
    return encode(decodeURIComponent(text), false);
  } catch {
    return encode(text, false);
  }
}

function encode(text: string, keepsSlash: boolean): string {
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return keepsSlash ? encoded.replaceAll('%2F', '/') : encoded;
}
