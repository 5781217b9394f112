import { describe, expect, it } from 'vitest';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import { accessKeyIdOf, makeSigningSecret } from '../../base/access/signing-pair.ts';
import { signatureOf, signingKey } from '../../base/access/sigv4.ts';
import { SlipwayError } from '../../base/errors.ts';
import { createInferenceAccess } from './inference-access.ts';
import { amzDate } from './signature-check.ts';

const NOW_MS = Date.parse('2026-01-31T23:58:00Z');
const SERVICE = 'sagemaker';
const { id, secret } = makeKey();
const signingSecret = makeSigningSecret();
const key = { id, project: 'p', secretSha256: hashSecret(secret), scopes: ['predict'], expiresAt: null };

function accessAt(nowMs: number, changes: { signingSecret?: string; expiresAt?: string } = { signingSecret }) {
  const access = createInferenceAccess({
    keyNeeded: true,
    clock: { now: () => new Date(nowMs), monotonicMs: () => 0 },
  });
  access.replaceKeys([{ ...key, ...changes }]);
  return access;
}

type Choice = {
  secret?: string;
  accessKeyId?: string;
  atMs?: number;
  date?: string;
  service?: string;
  names?: string[];
  body?: string;
  headers?: Record<string, string>;
  url?: string;
};

/** A request as a client signs it. */
function signed(choice: Choice = {}) {
  const {
    atMs = NOW_MS,
    names = ['host', 'x-amz-date'],
    body = '1,2',
    service = SERVICE,
    url = '/endpoints/m/invocations',
  } = choice;
  const time = amzDate(atMs);
  const { accessKeyId = accessKeyIdOf(id), date = time.slice(0, 8) } = choice;
  const headers = { host: '127.0.0.1:8080', 'x-amz-date': time, ...choice.headers };
  const request = { method: 'POST', url, headers, body: Buffer.from(body) };
  const scope = { accessKeyId, date, region: 'eu-west-1', service, signedHeaders: names };
  const signature = signatureOf(
    signingKey(choice.secret ?? signingSecret, date, scope.region, service),
    request,
    scope,
  );
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${date}/eu-west-1/${service}/aws4_request, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { ...request, headers: { ...headers, authorization } };
}

function refusal(work: () => unknown): { awsCode: unknown; awsStatus: unknown; message: string } {
  try {
    work();
  } catch (error) {
    const { code, kind, extra, message } = error as SlipwayError;
    expect(error).toBeInstanceOf(SlipwayError);
    expect([code, kind]).toEqual(['signature_invalid', 'unauthorized']);
    return { awsCode: extra!['awsCode'], awsStatus: extra!['awsStatus'], message };
  }
  throw new Error('it was taken');
}

describe('a signed request', () => {
  it('is of the key whose pair signed it, whatever the region and the day', () => {
    const access = accessAt(NOW_MS);
    expect(access.signerOf(signed(), SERVICE)).toMatchObject({ keyId: id, project: 'p', scopes: ['predict'] });
    const later = accessAt(NOW_MS + 3 * 60_000);
    expect(later.signerOf(signed(), SERVICE).keyId, 'over midnight').toBe(id);
    expect(later.signerOf(signed({ atMs: NOW_MS + 3 * 60_000 }), SERVICE).keyId).toBe(id);
    access.assessSignature(signed().headers, SERVICE);
  });

  it('may sign Content-Length, also where the head is one of many', () => {
    const access = accessAt(NOW_MS);
    const { headers, ...request } = signed({
      names: ['content-length', 'host', 'x-amz-date'],
      headers: { 'content-length': '3' },
    });
    const { 'content-length': _, ...rest } = headers as Record<string, string>;
    expect(access.signerOf({ ...request, headers: rest }, SERVICE).keyId).toBe(id);
  });

  it('is refused when anything of it was changed', () => {
    const access = accessAt(NOW_MS);
    const one = signed();
    for (const changed of [
      { ...one, body: Buffer.from('1,3') },
      { ...one, url: '/endpoints/n/invocations' },
      { ...one, method: 'GET' },
      signed({ secret: `${signingSecret}x` }),
    ]) {
      expect(refusal(() => access.signerOf(changed, SERVICE))).toMatchObject({
        awsCode: 'InvalidSignatureException',
        awsStatus: 403,
        message: expect.stringContaining('The request signature we calculated does not match'),
      });
    }
  });

  it.each<[string, Choice, string, number, string]>([
    [
      'expired',
      { atMs: NOW_MS - 301_000 },
      'InvalidSignatureException',
      403,
      'Signature expired: 20260131T235259Z is now earlier than 20260131T235300Z (20260131T235800Z - 5 min.)',
    ],
    [
      'of the future',
      { atMs: NOW_MS + 301_000 },
      'InvalidSignatureException',
      403,
      'Signature not yet current: 20260201T000301Z is still later than 20260201T000300Z (20260131T235800Z + 5 min.)',
    ],
    [
      'of another day than its time',
      { date: '20260130' },
      'InvalidSignatureException',
      403,
      "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260130' != '20260131', from '20260131T235800Z'.",
    ],
    [
      'for another service',
      { service: 's3' },
      'InvalidSignatureException',
      403,
      "Credential should be scoped to correct service: 'sagemaker'.",
    ],
    [
      'without the host',
      { names: ['x-amz-date'] },
      'InvalidSignatureException',
      403,
      "'Host' and 'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization.",
    ],
    [
      'without the body',
      { headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } },
      'InvalidSignatureException',
      403,
      'The body must be part of the signature.',
    ],
    [
      'compressed',
      { headers: { 'content-encoding': 'gzip' } },
      'InvalidSignatureException',
      403,
      'A signed body must be sent without Content-Encoding.',
    ],
    [
      'of a session',
      { headers: { 'x-amz-security-token': 'x' } },
      'UnrecognizedClientException',
      403,
      'The security token included in the request is invalid.',
    ],
    [
      'of an id of AWS',
      { accessKeyId: 'AKIAIOSFODNN7EXAMPLE' },
      'UnrecognizedClientException',
      403,
      'The security token included in the request is invalid.',
    ],
    [
      'of an unknown key',
      { accessKeyId: accessKeyIdOf('000000000000') },
      'UnrecognizedClientException',
      403,
      'The security token included in the request is invalid.',
    ],
    [
      'with a time that is none',
      { headers: { 'x-amz-date': 'yesterday' } },
      'IncompleteSignatureException',
      400,
      "Authorization header requires existence of a 'X-Amz-Date' header",
    ],
  ])('%s is refused before its body is read', (_name, choice, awsCode, awsStatus, message) => {
    const access = accessAt(NOW_MS);
    const one = signed(choice);
    expect(refusal(() => access.assessSignature(one.headers, SERVICE))).toEqual({ awsCode, awsStatus, message });
    expect(refusal(() => access.signerOf(one, SERVICE))).toEqual({ awsCode, awsStatus, message });
  });

  it('opens nothing for a key without a pair, or one whose time has come', () => {
    const message = 'The security token included in the request is invalid.';
    expect(refusal(() => accessAt(NOW_MS, {}).signerOf(signed(), SERVICE)).message).toBe(message);
    const ended = accessAt(NOW_MS, { signingSecret, expiresAt: new Date(NOW_MS).toISOString() });
    expect(refusal(() => ended.signerOf(signed(), SERVICE)).message).toBe(message);
  });

  it('that is in pieces is told what it lacks', () => {
    const access = accessAt(NOW_MS);
    const headers = { ...signed().headers, authorization: 'AWS4-HMAC-SHA256 Credential=x' };
    expect(refusal(() => access.assessSignature(headers, SERVICE))).toMatchObject({
      awsCode: 'IncompleteSignatureException',
      awsStatus: 400,
    });
  });
});
