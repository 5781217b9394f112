import { createHash } from 'node:crypto';
import {
  type AuditQuery,
  type AuditRow,
  insertRecord,
  listRecords,
  readHead,
  readRecords,
  writeHead,
} from './audit-store.ts';
import type { Clock } from './clock.ts';
import type { Db, Tx } from './db/database.ts';
import { redactKeys } from './log.ts';

/**
 * Who changed what, when and why. Append-only (the database refuses anything else) and chained: each record's hash covers the one
 * before, and the last hash stands apart, so an edited, removed, inserted, reordered or cut-off record is found by anyone who
 * recomputes the chain. Someone who can rewrite the whole file can rewrite the chain as well; against that, keep the `lastHash` of
 * a verification elsewhere and compare.
 */
export type AuditEntry = {
  /** Name of the project, null for what belongs to none. */
  readonly project: string | null;
  /** `key:<name>`, or `system`. */
  readonly actor: string;
  /** `<noun>.<verb>`, e.g. `endpoint.update`. */
  readonly action: string;
  /** `<noun>/<name>`. */
  readonly resource: string;
  /** What changed, from and to. Any JSON; never a secret. */
  readonly detail: unknown;
  readonly reason?: string | null;
  readonly requestId?: string | null;
};

export type AuditVerdict = {
  readonly intact: boolean;
  readonly records: number;
  readonly lastHash: string;
  /** Sequence number of the first record that is not as it was written, or is missing. */
  readonly brokenAt: number | null;
};

const GENESIS = '0'.repeat(64);
const VERIFY_PAGE = 500;

/** Writes one record, in the transaction of the change it tells of: both are kept, or neither. */
export async function appendAudit(tx: Tx, entry: AuditEntry, clock: Clock): Promise<void> {
  const head = (await readHead(tx)) ?? { seq: 0, hash: GENESIS };
  const row: Omit<AuditRow, 'hash'> = {
    seq: head.seq + 1,
    at: clock.now().toISOString(),
    project: entry.project,
    actor: entry.actor,
    action: entry.action,
    resource: entry.resource,
    detail: redactKeys(toJson(entry.detail)),
    reason: entry.reason ?? null,
    request_id: entry.requestId ?? null,
    previous_hash: head.hash,
  };
  const hash = hashOf(row);
  await insertRecord(tx, { ...row, hash });
  await writeHead(tx, { seq: row.seq, hash });
}

/** Recomputes the whole chain, a page at a time. Records appended meanwhile are verified too. */
export async function verifyAudit(db: Db): Promise<AuditVerdict> {
  let seq = 0;
  let hash = GENESIS;
  const broken = (at: number): AuditVerdict => ({ intact: false, records: seq, lastHash: hash, brokenAt: at });
  for (;;) {
    const rows = await readRecords(db, { afterSeq: seq, limit: VERIFY_PAGE });
    for (const row of rows) {
      if (row.seq !== seq + 1 || row.previous_hash !== hash || row.hash !== hashOf(row)) return broken(seq + 1);
      seq = row.seq;
      hash = row.hash;
    }
    if (rows.length === VERIFY_PAGE) continue;
    const head = await readHead(db);
    if (head === null ? seq === 0 : head.seq === seq && head.hash === hash) {
      return { intact: true, records: seq, lastHash: hash, brokenAt: null };
    }
    // Rows and head are committed together, so a head that is ahead of rows that are there is a record appended meanwhile.
    if (head === null || head.seq <= seq) return broken(head === null ? 1 : Math.max(1, Math.min(head.seq + 1, seq)));
    if ((await readRecords(db, { afterSeq: seq, limit: 1 })).length === 0) return broken(seq + 1);
  }
}

export type AuditRecord = {
  readonly seq: number;
  readonly at: string;
  readonly project: string | null;
  readonly actor: string;
  readonly action: string;
  readonly resource: string;
  readonly detail: unknown;
  readonly reason: string | null;
  readonly requestId: string | null;
  readonly hash: string;
};

/** Newest first. A detail that was tampered with and is no JSON any more comes as text. */
export async function listAudit(db: Db, query: AuditQuery): Promise<AuditRecord[]> {
  return (await listRecords(db, query)).map((row) => ({
    seq: row.seq,
    at: row.at,
    project: row.project,
    actor: row.actor,
    action: row.action,
    resource: row.resource,
    detail: fromJson(row.detail),
    reason: row.reason,
    requestId: row.request_id,
    hash: row.hash,
  }));
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The record as an array in fixed order: one text for one record. */
function hashOf(row: Omit<AuditRow, 'hash'>): string {
  const { seq, at, project, actor, action, resource, detail, reason, request_id } = row;
  const record = JSON.stringify([seq, at, project, actor, action, resource, detail, reason, request_id]);
  return createHash('sha256').update(row.previous_hash).update(record).digest('hex');
}

function toJson(detail: unknown): string {
  return JSON.stringify(detail ?? null, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}
