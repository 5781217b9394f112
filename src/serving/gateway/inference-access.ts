import { isSecret, parseKey } from '../../base/access/key.ts';
import { can, type Principal } from '../../base/access/permission.ts';
import { keyIdOf } from '../../base/access/signing-pair.ts';
import { type Authorization, isSignedBy, type SignedRequest, signingKey } from '../../base/access/sigv4.ts';
import type { Clock } from '../../base/clock.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { CallPass } from '../endpoints/call-pass.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';
import { mismatch, readSignature, unrecognized } from './signature-check.ts';

/** Where a request may carry its key: headers of HTTP, metadata of gRPC. */
export type KeyHeaders = {
  readonly authorization?: string | undefined;
  readonly 'x-api-key'?: string | readonly string[] | undefined;
};

/** The key that a request carries, as `Authorization: Bearer` or as `X-API-Key`; null where that is no key, or none. */
export function keyTextOf({ authorization, 'x-api-key': plain }: KeyHeaders): string | null {
  if (authorization === undefined) return typeof plain === 'string' && plain !== '' ? plain : null;
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? null;
}

function twoKeys(): SlipwayError {
  return new SlipwayError('invalid_request', 'The request carries both Authorization and X-API-Key', {
    hint: 'Send one of them.',
  });
}

export type InferenceAccess = {
  /** Takes the place of all keys at once. */
  replaceKeys(keys: readonly DesiredKey[]): void;
  /** Lets the holder of a pass in, for as long as it lives. */
  admitPass(pass: CallPass): void;
  /**
   * Whose key a request carries, as `Authorization: Bearer` or as `X-API-Key`; null when it carries none and none is needed. A
   * wrong one is said to be wrong also where none is needed.
   * @throws SlipwayError `key_missing`, `key_invalid`, `invalid_request` for both at once: which of two keys counts would be a guess
   */
  principalOf(headers: KeyHeaders): Principal | null;
  /**
   * Judges all of a signed request that needs no body.
   * @param service that the signature must be for
   * @throws SlipwayError `signature_invalid`
   */
  assessSignature(headers: SignedRequest['headers'], service: string): void;
  /**
   * Whose signature a whole request carries.
   * @throws SlipwayError `signature_invalid`
   */
  signerOf(request: SignedRequest, service: string): Principal;
  readonly keyNeeded: boolean;
};

type KnownKey = {
  readonly principal: Principal;
  readonly secretSha256: string;
  readonly expiresMs: number;
  readonly signingSecret: string | null;
  /** What the secret signs with on the day and in the region that were asked for last. */
  signing: { readonly scope: string; readonly key: Buffer } | null;
};

/** Headers whose key was found right need no second hash. Only added to, up to this many: callers choose how they write a key. */
const REMEMBERED = 1000;

const HINT = 'Send the header Authorization: Bearer <key>; an administrator makes keys with the scope predict.';

export function createInferenceAccess({ keyNeeded, clock }: { keyNeeded: boolean; clock: Clock }): InferenceAccess {
  let known = new Map<string, KnownKey>();
  let remembered = new Map<string, KnownKey>();
  const passes = new Map<string, KnownKey>();

  const find = (header: string): KnownKey | undefined => {
    const text = keyTextOf({ authorization: header });
    const parsed = text === null ? null : parseKey(text);
    const pass = parsed === null ? undefined : passes.get(parsed.id);
    const key = parsed === null ? undefined : (known.get(parsed.id) ?? pass);
    if (key === undefined || !isSecret(parsed!.secret, key.secretSha256)) return undefined;
    if (key !== pass && remembered.size < REMEMBERED) remembered.set(header, key);
    return key;
  };

  const signingKeyOf = (known: KnownKey, { date, region, service }: Authorization): Buffer => {
    const scope = `${date}/${region}/${service}`;
    if (known.signing?.scope === scope) return known.signing.key;
    const key = signingKey(known.signingSecret!, date, region, service);
    known.signing = { scope, key };
    return key;
  };

  const findSigner = (
    headers: SignedRequest['headers'],
    service: string,
  ): { key: KnownKey; authorization: Authorization } => {
    const nowMs = clock.now().getTime();
    const authorization = readSignature(headers, service, nowMs);
    const id = keyIdOf(authorization.accessKeyId);
    const key = id === null ? undefined : known.get(id);
    if (key === undefined || key.signingSecret === null || nowMs >= key.expiresMs) throw unrecognized();
    return { key, authorization };
  };

  return {
    keyNeeded,
    replaceKeys(keys) {
      remembered = new Map();
      known = new Map(
        keys.map(({ id, project, scopes, secretSha256, expiresAt, signingSecret = null }): [string, KnownKey] => [
          id,
          {
            principal: { actor: `key:${id}`, keyId: id, project, scopes },
            secretSha256,
            expiresMs: expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
            signingSecret,
            signing: null,
          },
        ]),
      );
    },
    admitPass({ id, secretSha256, principal, lifeMs }) {
      const nowMs = clock.now().getTime();
      for (const [known, { expiresMs }] of passes) if (expiresMs <= nowMs) passes.delete(known);
      passes.set(id, { principal, secretSha256, expiresMs: nowMs + lifeMs, signingSecret: null, signing: null });
    },
    principalOf({ authorization, 'x-api-key': plain }) {
      if (authorization !== undefined && plain) throw twoKeys();
      const header = authorization ?? (plain ? `Bearer ${plain}` : undefined);
      if (header === undefined) {
        if (!keyNeeded) return null;
        throw new SlipwayError('key_missing', 'Predictions need an API key here', { hint: HINT });
      }
      const key = remembered.get(header) ?? find(header);
      // One answer for unknown, wrong, expired and revoked keys: which it was is nobody's business but the administrator's.
      if (key === undefined || clock.now().getTime() >= key.expiresMs) {
        throw new SlipwayError('key_invalid', 'The API key is unknown, expired or revoked', { hint: HINT });
      }
      return key.principal;
    },
    assessSignature(headers, service) {
      findSigner(headers, service);
    },
    signerOf(request, service) {
      const { key, authorization } = findSigner(request.headers, service);
      // The lean path keeps heads without the one header that differs from call to call.
      const headers = { ...request.headers, 'content-length': `${request.body.byteLength}` };
      if (!isSignedBy(signingKeyOf(key, authorization), { ...request, headers }, authorization)) throw mismatch();
      return key.principal;
    },
  };
}

/** Whether a caller may see an endpoint of this model. Without a key, where none is needed, everybody may. */
export function mayUse(principal: Principal | null, verb: 'predict' | 'read', project: string, model: string): boolean {
  if (principal === null) return true;
  return can(principal, 'predict', project, model) || (verb === 'read' && can(principal, 'read', project, model));
}
