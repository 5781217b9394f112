import type { Db } from './db/database.ts';
import type { Tables } from './db/tables.ts';

export type AuditRow = Tables['audit'];
export type AuditHead = { readonly seq: number; readonly hash: string };

const HEAD = 'audit_head';

export async function readHead(db: Db): Promise<AuditHead | null> {
  const row = await db.selectFrom('meta').select('value').where('key', '=', HEAD).executeTakeFirst();
  if (!row) return null;
  const [seq, hash] = row.value.split(' ');
  return { seq: Number(seq), hash: hash ?? '' };
}

export async function writeHead(db: Db, head: AuditHead): Promise<void> {
  const value = `${head.seq} ${head.hash}`;
  await db
    .insertInto('meta')
    .values({ key: HEAD, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
}

export async function insertRecord(db: Db, row: AuditRow): Promise<void> {
  await db.insertInto('audit').values(row).execute();
}

/** In the order they were written. */
export async function readRecords(db: Db, page: { afterSeq: number; limit: number }): Promise<AuditRow[]> {
  return db.selectFrom('audit').selectAll().where('seq', '>', page.afterSeq).orderBy('seq').limit(page.limit).execute();
}

export type AuditQuery = {
  /** Only records before this one. */
  readonly beforeSeq: number | null;
  readonly limit: number;
  readonly project?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly resource?: string;
};

/** Newest first. */
export async function listRecords(db: Db, query: AuditQuery): Promise<AuditRow[]> {
  let select = db.selectFrom('audit').selectAll();
  if (query.beforeSeq !== null) select = select.where('seq', '<', query.beforeSeq);
  for (const column of ['project', 'actor', 'action', 'resource'] as const) {
    const wanted = query[column];
    if (wanted !== undefined) select = select.where(column, '=', wanted);
  }
  return select.orderBy('seq', 'desc').limit(query.limit).execute();
}
