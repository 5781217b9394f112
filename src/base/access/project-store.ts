import type { Db } from '../db/database.ts';
import type { Tables } from '../db/tables.ts';

export type ProjectRow = Tables['projects'];

export async function findProject(db: Db, name: string): Promise<ProjectRow | null> {
  return (await db.selectFrom('projects').selectAll().where('name', '=', name).executeTakeFirst()) ?? null;
}

export async function listProjects(db: Db, page: { after: string | null; limit: number }): Promise<ProjectRow[]> {
  let query = db.selectFrom('projects').selectAll();
  if (page.after !== null) query = query.where('name', '>', page.after);
  return query.orderBy('name').limit(page.limit).execute();
}

export async function insertProject(db: Db, row: ProjectRow): Promise<void> {
  await db.insertInto('projects').values(row).execute();
}

/** With what is known of its files; the files themselves are removed when the artifacts are collected. */
export async function deleteProject(db: Db, id: string): Promise<void> {
  await db.deleteFrom('uploads').where('project_id', '=', id).execute();
  await db.deleteFrom('blobs').where('project_id', '=', id).execute();
  await db.deleteFrom('projects').where('id', '=', id).execute();
}

/** What a project must no longer hold before it can go, in the order to remove it. */
const CONTENTS = ['endpoints', 'models'] as const;

/** How many of each there are; only those of which there are any. */
export async function countContents(db: Db, projectId: string): Promise<Partial<Record<string, number>>> {
  const counts: Partial<Record<string, number>> = {};
  for (const table of CONTENTS) {
    const row = await db
      .selectFrom(table)
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .where('project_id', '=', projectId)
      .executeTakeFirstOrThrow();
    if (row.n > 0) counts[table] = row.n;
  }
  return counts;
}
