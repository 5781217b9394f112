import { describe, expect, it } from 'vitest';
import { isSignedBy, parseAmzDate, parseAuthorization, type SignedRequest, signatureOf, signingKey } from './sigv4.ts';

/** The credentials and scope of Amazon's published test suite for version 4. */
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const SCOPE = { accessKeyId: 'AKIDEXAMPLE', date: '20150830', region: 'us-east-1', service: 'service' };
const HEADERS = { host: 'example.amazonaws.com', 'x-amz-date': '20150830T123600Z' };

const request = (changes: Partial<SignedRequest> = {}): SignedRequest => ({
  method: 'GET',
  url: '/',
  headers: HEADERS,
  body: Buffer.alloc(0),
  ...changes,
});
const sign = (one: SignedRequest, signedHeaders = ['host', 'x-amz-date']): string =>
  signatureOf(signingKey(SECRET, SCOPE.date, SCOPE.region, SCOPE.service), one, { ...SCOPE, signedHeaders });

describe('AWS Signature Version 4', () => {
  it('derives the signing key of the published example', () => {
    // AWS General Reference, "Examples of how to derive a signing key for Signature Version 4"
    expect(signingKey(SECRET, '20120215', 'us-east-1', 'iam').toString('hex')).toBe(
      'f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d',
    );
  });

  it.each<[string, Partial<SignedRequest>, string]>([
    ['get-vanilla', {}, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['post-vanilla', { method: 'POST' }, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    [
      'get-vanilla-query-order-key-case',
      { url: '/?Param2=value2&Param1=value1' },
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
  ])('signs %s as the published suite does', (_name, changes, signature) => {
    expect(sign(request(changes))).toBe(signature);
  });

  // Made with botocore 1.44.8, class SigV4Auth, service sagemaker.
  it.each<[string, string, string, Record<string, string>, string, string, string]>([
    [
      'POST',
      '127.0.0.1:8080',
      '/endpoints/churn/invocations',
      { 'content-type': 'text/csv', accept: 'application/json' },
      '1,2\n',
      'accept;content-type;host;x-amz-date',
      '6bbb1f754adae68861280f4f965615c7c709b5a0518dde04cfb66f2d0cbd36a9',
    ],
    [
      'POST',
      '127.0.0.1:8080',
      '/p/team%20a/endpoints/a~b%40c/invocations',
      {},
      '{}',
      'host;x-amz-date',
      '52a985f3ea9911a814b224932490aae1b05e42293d01844c42b0a52d7f400327',
    ],
    [
      'POST',
      'example.amazonaws.com',
      '/endpoints//x/../y/./invocations/',
      {},
      '',
      'host;x-amz-date',
      '136954d05b443beec5676ae92eb8a7099c9a903fb81a72ce8f283747a67fcbd1',
    ],
    [
      'GET',
      'example.amazonaws.com',
      '/a?b=2&a=%C3%BC&a=1&c&d=a%20c%2Fd',
      {},
      '',
      'host;x-amz-date',
      'd401fa909de025193ca60ccfbe8942042a85ebe76f7050d021ba985706e60063',
    ],
    [
      'POST',
      'example.amazonaws.com',
      '/%E1%88%B4/*(x)',
      { 'x-amz-meta': '  two   blanks ' },
      'x',
      'host;x-amz-date;x-amz-meta',
      '39aac704587ea78d35dd505b717b8b6292c89f0dd052c5886bf4660be071e5b9',
    ],
  ])('signs %s %s%s as botocore does', (method, host, url, headers, body, names, signature) => {
    const one = request({ method, url, headers: { ...HEADERS, host, ...headers }, body: Buffer.from(body) });
    const scope = { ...SCOPE, service: 'sagemaker', signedHeaders: names.split(';') };
    const key = signingKey(SECRET, scope.date, scope.region, scope.service);
    expect(signatureOf(key, one, scope)).toBe(signature);
  });

  it('takes a request whose signature is right, and no other', () => {
    const one = request({ method: 'POST', body: Buffer.from('1,2') });
    const signature = sign(one);
    const authorization = { ...SCOPE, signedHeaders: ['host', 'x-amz-date'], signature };
    const key = signingKey(SECRET, SCOPE.date, SCOPE.region, SCOPE.service);
    expect(isSignedBy(key, one, authorization)).toBe(true);
    for (const other of [
      { ...one, body: Buffer.from('1,3') },
      { ...one, method: 'PUT' },
      { ...one, url: '/x' },
      { ...one, url: '/?a' },
      { ...one, headers: { ...HEADERS, host: 'other' } },
      { ...one, headers: { ...HEADERS, 'x-amz-date': '20150830T123601Z' } },
    ]) {
      expect(isSignedBy(key, other, authorization), JSON.stringify(other)).toBe(false);
    }
    const others = [
      signingKey(`${SECRET}x`, SCOPE.date, SCOPE.region, SCOPE.service),
      signingKey(SECRET, '20150831', SCOPE.region, SCOPE.service),
      signingKey(SECRET, SCOPE.date, 'eu-west-1', SCOPE.service),
    ];
    for (const other of others) expect(isSignedBy(other, one, authorization)).toBe(false);
  });
});

describe('the Authorization header', () => {
  const parts = 'Credential=AKID/20150830/us-east-1/sagemaker/aws4_request, SignedHeaders=host;x-amz-date, Signature=';
  const signature = 'a'.repeat(64);

  it('is read whole', () => {
    expect(parseAuthorization(`AWS4-HMAC-SHA256 ${parts}${signature}`)).toEqual({
      accessKeyId: 'AKID',
      date: '20150830',
      region: 'us-east-1',
      service: 'sagemaker',
      signedHeaders: ['host', 'x-amz-date'],
      signature,
    });
    expect(parseAuthorization(`AWS4-HMAC-SHA256 ${parts.replaceAll(', ', ',')}${signature}`)).not.toBeNull();
  });

  it.each([
    'Bearer x',
    'AWS4-HMAC-SHA256',
    `AWS4-HMAC-SHA256 ${parts}`,
    `AWS4-HMAC-SHA256 ${parts}${'a'.repeat(63)}`,
    `AWS4-HMAC-SHA256 ${parts}${signature}, Signature=${signature}`,
    `AWS4-HMAC-SHA256 ${parts.replace('/aws4_request', '')}${signature}`,
    `AWS4-HMAC-SHA256 ${parts.replace('host;x-amz-date', '')}${signature}`,
    `AWS4-HMAC-SHA256 ${parts}${signature}, More=1`,
    `AWS4-ECDSA-P256-SHA256 ${parts}${signature}`,
  ])('is nothing when it reads %s', (header) => {
    expect(parseAuthorization(header)).toBeNull();
  });

  it('goes with a time', () => {
    expect(parseAmzDate('20150830T123600Z')).toBe(Date.UTC(2015, 7, 30, 12, 36));
    for (const text of ['20150830', '20151330T123600Z', '2015-08-30T12:36:00Z', undefined, ''])
      expect(parseAmzDate(text)).toBeNull();
  });
});
