import { NO_LIMITS } from '../../base/access/key-limits.ts';
import type { Principal } from '../../base/access/permission.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { DesiredKey } from '../endpoints/desired-state.ts';
import type { Priority } from '../runner/runner.ts';
import { Account } from './account.ts';
import type { ServedVersion } from './served-version.ts';

/**
 * Who may ask how much: quotas of keys, and an early word when the version cannot take more. Knows no transport; HTTP and gRPC ask alike:
 *
 *     const account = admission.accountOf(principal);
 *     admission.admit(account, version);   // before the body is read; throws
 *     account.begin();                     // when the call is put into the queue; throws
 *     … version.supervisor.infer(inputs, rows, { timeoutMs, flow: account, priority }, done)
 *     account.end();                       // when it was answered, or nobody wants it any more
 */
export type Admission = {
  /** Takes the place of all keys at once; what they used of their quotas stays used. */
  replaceKeys(keys: readonly DesiredKey[]): void;
  /** @throws SlipwayError `rate_limited`; `overloaded` or `queue_full` when the version would refuse it anyway */
  admit(account: Account, version: ServedVersion): void;
  /** The account that a caller's calls go to. */
  accountOf(principal: Principal | null): Account;
  /** The same by the id of the key; undefined when there is no such key (any more). */
  accountOfKey(keyId: string | null): Account | undefined;
  /** All accounts, with the id of their key; null is that of callers without one. */
  accounts(): Iterable<readonly [keyId: string | null, account: Account]>;
};

export type AdmissionDeps = {
  /** Quota of all callers without a key together; 0: none. */
  readonly anonymousRate: number;
  readonly anonymousConcurrency: number;
};

export function createAdmission({ anonymousRate, anonymousConcurrency }: AdmissionDeps): Admission {
  const anonymous = new Account(null, 'Callers without a key', {
    ...NO_LIMITS,
    rate: anonymousRate === 0 ? null : anonymousRate,
    concurrency: anonymousConcurrency === 0 ? null : anonymousConcurrency,
  });
  let accounts = new Map<string, Account>();

  const accountOf = (principal: Principal | null): Account =>
    principal === null ? anonymous : (accounts.get(principal.keyId) ?? anonymous);

  return {
    accountOf,
    accountOfKey: (keyId) => (keyId === null ? anonymous : accounts.get(keyId)),
    replaceKeys(keys) {
      const nowMs = performance.now();
      accounts = new Map(
        keys.map(({ id, limits = NO_LIMITS }): [string, Account] => {
          const account = accounts.get(id);
          account?.limit(limits, nowMs);
          return [id, account ?? new Account(id, `The API key ${id}`, limits)];
        }),
      );
    },
    admit(account, version) {
      account.admit(performance.now());
      const refusal = version.supervisor?.refusal(account) ?? null;
      if (refusal === null) return;
      account.giveBack(); // a 503 is not the key's doing
      throw refusal;
    },
    *accounts() {
      yield [null, anonymous];
      yield* accounts;
    },
  };
}

/**
 * @param header X-Slipway-Priority
 * @throws SlipwayError `invalid_request`
 */
export function priorityOf(header: string | readonly string[] | undefined): Priority | undefined {
  if (header === undefined || header === 'high' || header === 'normal' || header === 'low') return header;
  throw new SlipwayError('invalid_request', 'X-Slipway-Priority is not a priority', {
    hint: 'Send high, normal or low; without it a request is normal.',
  });
}
