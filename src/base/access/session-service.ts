import { randomBytes } from 'node:crypto';
import { appendAudit } from '../audit.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../db/database.ts';
import { SlipwayError } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { hashSecret } from './key.ts';
import type { KeyService } from './key-service.ts';
import type { Principal } from './permission.ts';
import * as store from './session-store.ts';

export type Session = {
  readonly principal: Principal;
  /** When it ends whatever is done, RFC 3339. */
  readonly endsAt: string;
  /** After how long without a use it ends. */
  readonly idleMs: number;
};
export type NewSession = Session & {
  readonly lifeMs: number /** What the cookie holds; only its hash is stored. */;
  readonly secret: string;
};

export type SessionService = ReturnType<typeof createSessionService>;

const TOUCH_EVERY_MS = 60_000;
/** More than people who look at one server; the oldest goes. */
const MOST = 1000;
const FORM = /^[A-Za-z0-9_-]{43}$/;

/**
 * Sessions of the console. Each stands for the key it was opened with and has that key's rights, as they are at every request: a key that
 * is revoked or expires takes its sessions with it. They outlive a restart of the server.
 */
export function createSessionService(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly keys: KeyService;
  readonly settings: Pick<Settings, 'sessionIdleMs' | 'sessionMs'>;
}) {
  const { database, clock, keys, settings } = deps;

  const before = (ms: number): string => new Date(clock.now().getTime() - ms).toISOString();
  const limits = (): store.SessionLimits => ({
    usedAfter: before(settings.sessionIdleMs),
    createdAfter: before(settings.sessionMs),
  });
  const show = (principal: Principal, createdAt: string): Session => ({
    principal,
    endsAt: new Date(Date.parse(createdAt) + settings.sessionMs).toISOString(),
    idleMs: settings.sessionIdleMs,
  });

  return {
    /** @throws SlipwayError `key_invalid` */
    async open(key: string, requestId: string): Promise<NewSession> {
      const principal = await keys.authenticate(key);
      if (principal === null) {
        throw new SlipwayError('key_invalid', 'The API key is unknown, expired or revoked', {
          fields: [{ pointer: '/key', message: 'opens nothing here' }],
          hint: 'Check that it was copied whole. The first one is in admin.key in the data folder.',
        });
      }
      const secret = randomBytes(32).toString('base64url');
      const now = clock.now().toISOString();
      await database.transaction(async (tx) => {
        await store.deleteOldSessions(tx, limits(), MOST - 1);
        await store.insertSession(tx, {
          secret_sha256: hashSecret(secret),
          key_id: principal.keyId,
          created_at: now,
          used_at: now,
        });
        const { project, actor, keyId } = principal;
        await appendAudit(
          tx,
          { project, actor, action: 'session.open', resource: `key/${keyId}`, detail: {}, requestId },
          clock,
        );
      });
      return { ...show(principal, now), lifeMs: settings.sessionMs, secret };
    },

    /**
     * Whose session this is; null when it is nobody's or over.
     * @param attended whether a person did something: a page that only refreshes itself keeps no session alive
     */
    async find(secret: string, attended: boolean): Promise<Session | null> {
      if (!FORM.test(secret)) return null;
      const hash = hashSecret(secret);
      const row = await store.findSession(database.db, hash);
      const { usedAfter, createdAfter } = limits();
      if (row === null || row.used_at <= usedAfter || row.created_at <= createdAfter) return null;
      const principal = await keys.principalById(row.key_id);
      if (principal === null) return null;
      if (attended && row.used_at <= before(TOUCH_EVERY_MS)) {
        await store.touchSession(database.db, hash, clock.now().toISOString());
      }
      return show(principal, row.created_at);
    },

    async close(secret: string): Promise<void> {
      await store.deleteSession(database.db, hashSecret(secret));
    },
  };
}
