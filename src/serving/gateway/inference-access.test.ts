import { expect, it } from 'vitest';
import { hashSecret, makeKey } from '../../base/access/key.ts';
import { createInferenceAccess, mayUse } from './inference-access.ts';

it('a key works until its time comes, by the clock alone', () => {
  let now = new Date('2026-06-01T11:59:59.999Z');
  const access = createInferenceAccess({ keyNeeded: true, clock: { now: () => now, monotonicMs: () => 0 } });
  const { id, secret, text } = makeKey();
  const expiresAt = '2026-06-01T12:00:00.000Z';
  access.replaceKeys([{ id, project: null, secretSha256: hashSecret(secret), scopes: ['predict'], expiresAt }]);
  expect(access.principalOf({ authorization: `Bearer ${text}` })).toMatchObject({ keyId: id, project: null });
  now = new Date(expiresAt);
  expect(() => access.principalOf({ authorization: `Bearer ${text}` })).toThrowError(/unknown, expired or revoked/);
});

it('replacing the keys takes effect as a whole', () => {
  const access = createInferenceAccess({ keyNeeded: true, clock: { now: () => new Date(), monotonicMs: () => 0 } });
  const [a, b] = [makeKey(), makeKey()];
  const desired = (key: typeof a) => ({
    id: key.id,
    project: null,
    secretSha256: hashSecret(key.secret),
    scopes: ['predict'],
    expiresAt: null,
  });
  access.replaceKeys([desired(a)]);
  expect(access.principalOf({ authorization: `Bearer ${a.text}` })?.keyId).toBe(a.id);
  access.replaceKeys([desired(b)]);
  expect(() => access.principalOf({ authorization: `Bearer ${a.text}` })).toThrowError();
  expect(access.principalOf({ authorization: `Bearer ${b.text}` })?.keyId).toBe(b.id);
});

it('who may use a model: predicting needs predict, looking needs predict or read', () => {
  const of = (...scopes: string[]) => ({ actor: 'key:x', keyId: 'x', project: 'p', scopes });
  expect(mayUse(null, 'predict', 'p', 'm')).toBe(true);
  expect(mayUse(of('predict:m'), 'predict', 'p', 'm')).toBe(true);
  expect(mayUse(of('predict:m'), 'read', 'p', 'm')).toBe(true);
  expect(mayUse(of('predict:m'), 'predict', 'p', 'n')).toBe(false);
  expect(mayUse(of('read'), 'read', 'p', 'm')).toBe(true);
  expect(mayUse(of('read'), 'predict', 'p', 'm')).toBe(false);
  expect(mayUse(of('admin'), 'predict', 'other', 'm')).toBe(false);
});

it('X-API-Key carries a key where Authorization does not; both at once are refused', () => {
  const access = createInferenceAccess({ keyNeeded: true, clock: { now: () => new Date(), monotonicMs: () => 0 } });
  const { id, secret, text } = makeKey();
  access.replaceKeys([{ id, project: null, secretSha256: hashSecret(secret), scopes: ['predict'], expiresAt: null }]);
  expect(access.principalOf({ 'x-api-key': text })?.keyId).toBe(id);
  expect(() => access.principalOf({ authorization: text })).toThrowError(/unknown, expired or revoked/);
  expect(() => access.principalOf({ authorization: 'Basic x', 'x-api-key': text })).toThrowError(/both/);
  expect(() => access.principalOf({ 'x-api-key': `${text}, ${text}` })).toThrowError(/unknown/);
  expect(() => access.principalOf({ 'x-api-key': '' })).toThrowError(/need an API key/);
});
