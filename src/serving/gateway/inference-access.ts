import { isSecret, parseKey } from '../../base/access/key.ts';
import { can, type Principal } from '../../base/access/permission.ts';
import type { Clock } from '../../base/clock.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';

export type InferenceAccess = {
  /** Takes the place of all keys at once. */
  replaceKeys(keys: readonly DesiredKey[]): void;
  /**
   * Whose key the Authorization header carries; null when there is none and none is needed.
   * @throws SlipwayError `key_missing`, `key_invalid`
   */
  principalOf(authorization: string | undefined): Principal | null;
  /** As `principalOf`, where a key is never needed, but a wrong one is still said to be wrong. */
  readonly keyNeeded: boolean;
};

type KnownKey = { readonly principal: Principal; readonly secretSha256: string; readonly expiresMs: number };

const HINT = 'Send the header Authorization: Bearer <key>; an administrator makes keys with the scope predict.';

export function createInferenceAccess({ keyNeeded, clock }: { keyNeeded: boolean; clock: Clock }): InferenceAccess {
  let known = new Map<string, KnownKey>();

  return {
    keyNeeded,
    replaceKeys(keys) {
      known = new Map(
        keys.map(({ id, project, scopes, secretSha256, expiresAt }): [string, KnownKey] => [
          id,
          {
            principal: { actor: `key:${id}`, keyId: id, project, scopes },
            secretSha256,
            expiresMs: expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
          },
        ]),
      );
    },
    principalOf(authorization) {
      if (authorization === undefined) {
        if (!keyNeeded) return null;
        throw new SlipwayError('key_missing', 'Predictions need an API key here', { hint: HINT });
      }
      const given = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
      const parsed = given === undefined ? null : parseKey(given);
      const key = parsed === null ? undefined : known.get(parsed.id);
      // One answer for unknown, wrong, expired and revoked keys: which it was is nobody's business but the administrator's.
      if (key === undefined || !isSecret(parsed!.secret, key.secretSha256) || clock.now().getTime() >= key.expiresMs) {
        throw new SlipwayError('key_invalid', 'The API key is unknown, expired or revoked', { hint: HINT });
      }
      return key.principal;
    },
  };
}

/** Whether a caller may see an endpoint of this model. Without a key, where none is needed, everybody may. */
export function mayUse(principal: Principal | null, verb: 'predict' | 'read', project: string, model: string): boolean {
  if (principal === null) return true;
  return can(principal, 'predict', project, model) || (verb === 'read' && can(principal, 'read', project, model));
}
