import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { appendAudit } from '../audit.ts';
import type { Clock } from '../clock.ts';
import { ADMIN_KEY_FILE } from '../data-folder.ts';
import type { Database } from '../db/database.ts';
import { writeDurably } from '../durable-file.ts';
import { hashSecret, makeKey } from './key.ts';
import { isAdmin } from './key-service.ts';
import * as store from './key-store.ts';

export type EnsuredAdminKey = {
  /** The key's text when it was made now, to be shown once; null when there was one already. */
  readonly key: string | null;
};

/**
 * Makes the key `admin` when no live key can administer: at the first start, and again when all have expired, as whoever can write
 * the data folder owns the server anyway. The file is written before the key is valid: killed in between, there is a file with a
 * key nobody knows, which the next start replaces, rather than a key whose text is lost.
 */
export async function ensureAdminKey(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
}): Promise<EnsuredAdminKey> {
  const { database, clock, dataDir } = deps;
  return database.transaction(async (tx) => {
    const now = clock.now().toISOString();
    if ((await store.listLiveKeys(tx, now)).some(isAdmin)) return { key: null };
    const { id, secret, text } = makeKey();
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await writeDurably(join(dataDir, ADMIN_KEY_FILE), `${text}\n`);
    const row = {
      id,
      project_id: null,
      name: 'admin',
      secret_sha256: hashSecret(secret),
      scopes: JSON.stringify(['admin']),
      created_at: now,
      created_by: 'system',
      expires_at: null,
      revoked_at: null,
      last_used_at: null,
      rotated_from: null,
      limits: null,
      signing_secret: null,
    };
    await store.insertKey(tx, row);
    const detail = { name: row.name, scopes: ['admin'] };
    await appendAudit(
      tx,
      { project: null, actor: 'system', action: 'key.create', resource: `key/${id}`, detail },
      clock,
    );
    return { key: text };
  });
}
