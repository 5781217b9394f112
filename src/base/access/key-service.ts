import { appendAudit } from '../audit.ts';
import type { Clock } from '../clock.ts';
import type { Database, Db } from '../db/database.ts';
import { type FieldError, SlipwayError } from '../errors.ts';
import { isName, NAME_RULE } from '../ids.ts';
import type { Logger } from '../log.ts';
import type { Caller } from './call.ts';
import { hashSecret, isSecret, makeKey, parseKey } from './key.ts';
import { assessLimits, changeLimits, type KeyLimits, type KeyLimitsChange, NO_LIMITS } from './key-limits.ts';
import * as store from './key-store.ts';
import { assertCan, type Principal, parseScope, VERBS } from './permission.ts';
import { findProject } from './project-store.ts';
import { accessKeyIdOf, makeSigningSecret, type SigningPair } from './signing-pair.ts';

export type ApiKey = {
  readonly id: string;
  readonly name: string;
  /** null: every project. */
  readonly project: string | null;
  readonly scopes: string[];
  readonly createdAt: string;
  readonly createdBy: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
  readonly lastUsedAt: string | null;
  readonly rotatedFrom: string | null;
  readonly limits: KeyLimits;
  /** Under which id it signs requests, as clients of AWS do; null: it signs none. */
  readonly accessKeyId: string | null;
};

/** The only form that carries the key itself: it cannot be shown again. */
export type NewApiKey = ApiKey & { readonly key: string; readonly signingPair: SigningPair | null };

export type CreateKey = {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly project?: string | null;
  readonly expiresAt?: string | null;
  readonly limits?: KeyLimitsChange;
  /** Whether it gets a pair to sign requests with. */
  readonly signing?: boolean;
};

export type KeyService = ReturnType<typeof createKeyService>;

export type KeyServiceDeps = {
  readonly database: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told after every committed change of keys, so that gateways learn of a revocation at once. */
  readonly onChange?: () => void | Promise<void>;
};

const TOUCH_EVERY_MS = 60_000;
const MAX_SCOPES = 100;

export function createKeyService({ database, clock, log, onChange }: KeyServiceDeps) {
  const touched = new Map<string, number>();

  /** Last use is worth knowing to the minute, not a write on every request; and no request waits for it. */
  const touch = (id: string): void => {
    const now = clock.monotonicMs();
    const last = touched.get(id);
    if (last !== undefined && now - last < TOUCH_EVERY_MS) return;
    touched.set(id, now);
    store.touchKey(database.db, id, clock.now().toISOString()).catch((err: unknown) => {
      log.warn({ err, keyId: id }, 'the last use of a key could not be noted');
    });
  };

  const find = async (db: Db, id: string): Promise<store.KeyRow> => {
    const row = await store.findKey(db, id);
    if (row) return row;
    throw new SlipwayError('key_not_found', `There is no API key ${id.slice(0, 40)}`, {
      hint: '`slipway keys list` shows their ids (GET /api/v1/keys).',
    });
  };

  const isLive = (row: store.KeyRow): boolean =>
    row.revoked_at === null && (row.expires_at === null || row.expires_at > clock.now().toISOString());

  const audit = (tx: Parameters<typeof appendAudit>[0], caller: Caller, action: string, row: store.KeyRow) =>
    appendAudit(
      tx,
      {
        project: row.project,
        actor: caller.principal.actor,
        action,
        resource: `key/${row.id}`,
        detail: {
          name: row.name,
          scopes: JSON.parse(row.scopes),
          expiresAt: row.expires_at,
          rotatedFrom: row.rotated_from,
          ...(row.limits === null ? {} : { limits: JSON.parse(row.limits) }),
          ...(row.signing_secret === null ? {} : { signing: true }),
        },
        requestId: caller.requestId,
      },
      clock,
    );

  const changed = async (caller: Caller): Promise<void> => {
    if (!caller.dryRun) await onChange?.();
  };

  return {
    /** Whose key this is; null when it is nobody's, expired or revoked. The store is asked every time, so revocation is at once. */
    async authenticate(text: string): Promise<Principal | null> {
      const key = parseKey(text);
      if (!key) return null;
      const row = await store.findKey(database.db, key.id);
      // An unknown id takes as long as a wrong secret.
      const isRight = isSecret(key.secret, row?.secret_sha256 ?? NO_HASH);
      if (!row || !isRight || !isLive(row)) return null;
      touch(row.id);
      return principalOf(row);
    },

    /** Who a key's owner is, for a session that was opened with it; null when it is expired, revoked or gone. */
    async principalById(id: string): Promise<Principal | null> {
      const row = await store.findKey(database.db, id);
      if (row === null || !isLive(row)) return null;
      touch(row.id);
      return principalOf(row);
    },

    async list(caller: Caller, page: { after: string | null; limit: number }): Promise<ApiKey[]> {
      assertCan(caller.principal, 'admin', '*');
      return (await store.listKeys(database.db, page)).map(show);
    },

    async create(caller: Caller, input: CreateKey): Promise<NewApiKey> {
      assertCan(caller.principal, 'admin', '*');
      const limits = changeLimits(NO_LIMITS, input.limits ?? {});
      assertInput(input, limits, clock.now());
      const made = await database.transaction(async (tx) => {
        const project = input.project ? await findProject(tx, input.project) : null;
        if (input.project && !project) {
          throw new SlipwayError('project_not_found', `There is no project ${input.project}`, {
            fields: [{ pointer: '/project', message: 'names no project' }],
          });
        }
        const live = await store.listLiveKeys(tx, clock.now().toISOString());
        if (live.some((row) => row.name === input.name)) {
          throw new SlipwayError('already_exists', `There is a live API key named ${input.name} already`, {
            hint: 'Take another name, or rotate that key.',
          });
        }
        const { row, text } = draft(caller, {
          name: input.name,
          scopes: JSON.stringify([...new Set(input.scopes)]),
          projectId: project?.id ?? null,
          project: project?.name ?? null,
          expiresAt: input.expiresAt ? new Date(input.expiresAt).toISOString() : null,
          rotatedFrom: null,
          limits: input.limits === undefined ? null : JSON.stringify(limits),
          signs: input.signing === true,
        });
        if (!caller.dryRun) {
          await store.insertKey(tx, columnsOf(row));
          await audit(tx, caller, 'key.create', row);
        }
        return { ...show(row), key: text, signingPair: pairOf(row) };
      });
      await changed(caller);
      return made;
    },

    /**
     * A second live key with the same rights; the first stays valid until it is revoked, so that its users can change over without
     * a gap. The new one lives as long as the old one was to.
     */
    async rotate(caller: Caller, id: string): Promise<NewApiKey> {
      assertCan(caller.principal, 'admin', '*');
      const made = await database.transaction(async (tx) => {
        const old = await find(tx, id);
        if (!isLive(old)) {
          throw new SlipwayError('in_use', `The API key ${old.name} is ${old.revoked_at ? 'revoked' : 'expired'}`, {
            hint: 'Make a new key instead.',
          });
        }
        const live = await store.listLiveKeys(tx, clock.now().toISOString());
        if (live.some((row) => row.rotated_from === old.id || row.id === old.rotated_from)) {
          throw new SlipwayError('in_use', `The API key ${old.name} has two live keys already`, {
            hint: 'Revoke the one that is no longer used, then rotate again.',
          });
        }
        const { row, text } = draft(caller, {
          name: old.name,
          scopes: old.scopes,
          projectId: old.project_id,
          project: old.project,
          expiresAt: sameLifetime(old, clock.now()),
          rotatedFrom: old.id,
          limits: old.limits,
          signs: old.signing_secret !== null,
        });
        if (!caller.dryRun) {
          await store.insertKey(tx, columnsOf(row));
          await audit(tx, caller, 'key.rotate', row);
        }
        return { ...show(row), key: text, signingPair: pairOf(row) };
      });
      await changed(caller);
      return made;
    },

    /** Other limits for a key that goes on; gateways hold them as soon as they learn of them. */
    async update(caller: Caller, id: string, change: { readonly limits: KeyLimitsChange }): Promise<ApiKey> {
      assertCan(caller.principal, 'admin', '*');
      const shown = await database.transaction(async (tx) => {
        const row = await find(tx, id);
        if (row.revoked_at !== null) {
          throw new SlipwayError('key_revoked', `The API key ${row.name} is revoked, since ${row.revoked_at}`, {
            hint: 'Make a new key instead.',
          });
        }
        const limits = changeLimits(limitsOf(row), change.limits);
        assertNoFaults(assessLimits(limits), 'The limits of the API key cannot be these');
        const next = { ...row, limits: JSON.stringify(limits) };
        if (!caller.dryRun) {
          await store.setKeyLimits(tx, row.id, next.limits);
          await audit(tx, caller, 'key.update', next);
        }
        return show(next);
      });
      await changed(caller);
      return shown;
    },

    /** At once and for good. The last key that can administer is not revoked: nobody could make another. */
    async revoke(caller: Caller, id: string): Promise<void> {
      assertCan(caller.principal, 'admin', '*');
      await database.transaction(async (tx) => {
        const row = await find(tx, id);
        if (row.revoked_at !== null) {
          throw new SlipwayError('key_revoked', `The API key ${row.name} is revoked already, since ${row.revoked_at}`, {
            hint: 'It opens nothing; nothing was changed.',
          });
        }
        const live = await store.listLiveKeys(tx, clock.now().toISOString());
        if (isAdmin(row) && !live.some((other) => other.id !== row.id && isAdmin(other))) {
          throw new SlipwayError('in_use', `${row.name} is the last API key that can administer`, {
            hint: 'Rotate it first, then revoke this one.',
          });
        }
        if (caller.dryRun) return;
        await store.revokeKey(tx, row.id, clock.now().toISOString());
        await audit(tx, caller, 'key.revoke', row);
      });
      await changed(caller);
    },
  };

  type Draft = Pick<store.KeyRow, 'name' | 'scopes' | 'project' | 'limits'> & {
    projectId: string | null;
    expiresAt: string | null;
    rotatedFrom: string | null;
    signs: boolean;
  };

  function draft(caller: Caller, { name, scopes, project, projectId, expiresAt, rotatedFrom, limits, signs }: Draft) {
    const { id, secret, text } = makeKey();
    const row: store.KeyRow = {
      id,
      project_id: projectId,
      project,
      name,
      secret_sha256: hashSecret(secret),
      scopes,
      created_at: clock.now().toISOString(),
      created_by: caller.principal.actor,
      expires_at: expiresAt,
      revoked_at: null,
      last_used_at: null,
      rotated_from: rotatedFrom,
      limits,
      signing_secret: signs ? makeSigningSecret() : null,
    };
    return { row, text };
  }
}

const NO_HASH = '0'.repeat(64);

/** Sorts as `listKeys` does. */
export function keyCursor(key: ApiKey): string {
  return `${key.createdAt} ${key.id}`;
}

export function principalOf(row: store.KeyRow): Principal {
  return {
    actor: `key:${row.name}`,
    keyId: row.id,
    project: row.project,
    scopes: JSON.parse(row.scopes) as string[],
  };
}

export function isAdmin(row: store.KeyRow): boolean {
  return row.project_id === null && (JSON.parse(row.scopes) as string[]).includes('admin');
}

function columnsOf({ project: _project, ...columns }: store.KeyRow) {
  return columns;
}

function show(row: store.KeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    project: row.project,
    scopes: JSON.parse(row.scopes) as string[],
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    rotatedFrom: row.rotated_from,
    limits: limitsOf(row),
    accessKeyId: row.signing_secret === null ? null : accessKeyIdOf(row.id),
  };
}

function pairOf({ id, signing_secret: secretAccessKey }: store.KeyRow): SigningPair | null {
  return secretAccessKey === null ? null : { accessKeyId: accessKeyIdOf(id), secretAccessKey };
}

function limitsOf({ limits }: Pick<store.KeyRow, 'limits'>): KeyLimits {
  return limits === null ? NO_LIMITS : (JSON.parse(limits) as KeyLimits);
}

function sameLifetime(old: store.KeyRow, now: Date): string | null {
  if (old.expires_at === null) return null;
  return new Date(now.getTime() + Date.parse(old.expires_at) - Date.parse(old.created_at)).toISOString();
}

function assertInput(input: CreateKey, limits: KeyLimits, now: Date): void {
  const fields: FieldError[] = [];
  if (!isName(input.name)) fields.push({ pointer: '/name', message: NAME_RULE });
  if (input.scopes.length === 0) fields.push({ pointer: '/scopes', message: 'must name at least one scope' });
  if (input.scopes.length > MAX_SCOPES) fields.push({ pointer: '/scopes', message: `must have at most ${MAX_SCOPES}` });
  for (const [at, scope] of input.scopes.slice(0, MAX_SCOPES).entries()) {
    if (parseScope(scope)) continue;
    fields.push({
      pointer: `/scopes/${at}`,
      message: `must be ${VERBS.join(', ')}, or one of the first four with :model`,
    });
  }
  if (input.expiresAt && !(Date.parse(input.expiresAt) > now.getTime())) {
    fields.push({ pointer: '/expiresAt', message: 'must be in the future' });
  }
  assertNoFaults([...fields, ...assessLimits(limits)], 'The API key cannot be made like this');
}

function assertNoFaults(fields: readonly FieldError[], message: string): void {
  if (fields.length > 0) throw new SlipwayError('invalid_request', message, { fields });
}
