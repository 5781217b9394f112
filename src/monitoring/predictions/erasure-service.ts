/** The right to be forgotten: all that is kept of one subject, found, given out and erased, with proof. */
import { join } from 'node:path';
import type { Call } from '../../base/access/call.ts';
import { assertCan } from '../../base/access/permission.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { uuidv7 } from '../../base/ids.ts';
import { deleteFeedbackOf, readCurrentFeedback } from '../feedback/feedback-store.ts';
import { eraseFromReservoirs, listProfiledEndpoints } from '../profiles/profile-store.ts';
import { createTokens } from './apply-policy.ts';
import { type DuckStore, quoteText } from './duck-store.ts';
import { assertLogAccess } from './log-access.ts';
import type { LogCompactor } from './log-compactor.ts';
import type { LogQuery } from './log-query.ts';
import { endpointsWithSegments, listSegments } from './log-segments.ts';
import * as store from './log-store.ts';

export type ErasureProof = {
  /** Keyed hash by which the subject was known; the subject itself is not kept. */
  readonly subject: string;
  readonly rows: number;
  readonly feedback: number;
  readonly reservoirRows: number;
  /** Files that held rows of the subject, and what is there instead. */
  readonly files: readonly { readonly before: string; readonly after: string | null; readonly rows: number }[];
  /** Segments that gateways still hold open: the rows in them are hidden at once and never get into a file. */
  readonly openSegments: number;
  /** Rows of the subject that a look through all files found afterwards: 0, or it failed. */
  readonly left: number;
};

const FAR_MS = 8_640_000_000_000;

export type ErasureService = ReturnType<typeof createErasureService>;

export function createErasureService(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly duck: DuckStore;
  readonly query: LogQuery;
  readonly compactor: LogCompactor;
  /** Nothing else changes the log's files meanwhile. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}) {
  const { database, clock, dataDir, duck, query, compactor, inTurn } = deps;

  const tokenOf = async (call: Call, subject: string): Promise<string> => {
    const key = await database.transaction((tx) => store.ensureKey(tx, call.project.id));
    return createTokens(key)(subject);
  };

  const endpointsOf = async (call: Call): Promise<string[]> => {
    const files = await store.listFiles(database.db, { projectId: call.project.id });
    const segments = endpointsWithSegments(dataDir).filter((one) => one.project === call.project.name);
    const profiled = await listProfiledEndpoints(database.db, call.project.id);
    return [
      ...new Set([...files.map((file) => file.endpoint), ...segments.map((one) => one.endpoint), ...profiled]),
    ].sort();
  };

  const idsOf = async (call: Call, endpoint: string, token: string): Promise<string[]> =>
    query.run(
      { project: call.project, endpoint, fromMs: 0, toMs: FAR_MS },
      null,
      [],
      async (one, relation, parameters) => {
        const rows = await one.rows(`select distinct "id" from ${relation} where "subject" = ?`, [
          ...parameters,
          token,
        ]);
        return rows.map((row) => String(row['id']));
      },
    );

  return {
    /** Everything that is kept of a subject. */
    async find(call: Call, subject: string) {
      assertCan(call.principal, 'admin', call.project.name);
      const token = await tokenOf(call, subject);
      const found = [];
      for (const endpoint of await endpointsOf(call)) {
        const scope = { project: call.project, endpoint, fromMs: 0, toMs: FAR_MS };
        const rows = await query.run(scope, null, [] as Record<string, unknown>[], (one, relation, parameters) =>
          one.rows(`select * from ${relation} where "subject" = ? order by "at" limit 10000`, [...parameters, token]),
        );
        if (rows.length === 0) continue;
        const predictions = rows.map((row) =>
          Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)),
        );
        const ids = [...new Set(rows.map((row) => String(row['id'])))];
        const feedback = [...(await readCurrentFeedback(database.db, call.project.id, ids)).values()].flat();
        found.push({ endpoint, predictions, feedback });
      }
      return { subject: token, endpoints: found };
    },

    /**
     * Erases a subject everywhere in the project.
     * @throws SlipwayError `in_use` while an endpoint that holds something of it is under legal hold
     */
    async erase(call: Call, subject: string, reason: string | null): Promise<ErasureProof> {
      assertCan(call.principal, 'admin', call.project.name);
      return inTurn(() => eraseNow(call, subject, reason));
    },

    async hold(call: Call, endpoint: string, reason: string | null): Promise<void> {
      await assertLogAccess(database.db, call, 'admin', endpoint, { dataDir });
      await database.transaction(async (tx) => {
        if (call.dryRun) return;
        const set = { set_at: clock.now().toISOString(), set_by: call.principal.actor };
        if (reason === null) await store.deleteHold(tx, call.project.id, endpoint);
        else await store.putHold(tx, { project_id: call.project.id, endpoint, reason, ...set });
        const action = reason === null ? 'predictions.release' : 'predictions.hold';
        const entry = {
          actor: call.principal.actor,
          action,
          resource: `predictions/${endpoint}`,
          requestId: call.requestId,
        };
        await appendAudit(tx, { ...entry, project: call.project.name, detail: null, reason }, clock);
      });
    },
  };

  async function eraseNow(call: Call, subject: string, reason: string | null): Promise<ErasureProof> {
    await compactor.run(true);
    const token = await tokenOf(call, subject);
    const atMs = clock.now().getTime();
    const holds = (await store.listHolds(database.db)).filter((hold) => hold.project_id === call.project.id);
    const endpoints = await endpointsOf(call);
    const idsByEndpoint = new Map<string, string[]>();
    for (const endpoint of endpoints) idsByEndpoint.set(endpoint, await idsOf(call, endpoint, token));
    const inTheWay = holds.filter((hold) => (idsByEndpoint.get(hold.endpoint)?.length ?? 0) > 0);
    if (inTheWay.length > 0) {
      throw new SlipwayError(
        'in_use',
        `The log of ${inTheWay[0]!.endpoint} is under legal hold: ${inTheWay[0]!.reason}`,
        {
          hint: 'Lift the hold first, or answer the request with the reason of the hold.',
        },
      );
    }
    if (call.dryRun) {
      const rows = [...idsByEndpoint.values()].reduce((sum, ids) => sum + ids.length, 0);
      return { subject: token, rows, feedback: 0, reservoirRows: 0, files: [], openSegments: 0, left: rows };
    }
    // First the mark: from here on nothing of it is shown, and no segment that comes later brings it back.
    const id = uuidv7(atMs);
    await database.transaction((tx) =>
      store.insertErasure(tx, {
        id,
        project_id: call.project.id,
        subject: token,
        at_ms: atMs,
        actor: call.principal.actor,
        proof: '{}',
      }),
    );
    await compactor.run(true);
    const changed: { before: string; after: string | null; rows: number }[] = [];
    let rows = 0;
    for (const file of await store.listFiles(database.db, { projectId: call.project.id })) {
      const path = quoteText(join(dataDir, file.path));
      const [held] = await duck.use((one) =>
        one.rows(`select count(*) as n from read_parquet(${path}) where "subject" = ?`, [token]),
      );
      const n = Number(held!['n']);
      if (n === 0) continue;
      const [after] = await compactor.rewrite([file], '"subject" is distinct from ?', [token]);
      changed.push({ before: file.digest, after: after?.digest ?? null, rows: n });
      rows += n;
    }
    let left = 0;
    for (const file of await store.listFiles(database.db, { projectId: call.project.id })) {
      const path = quoteText(join(dataDir, file.path));
      const [found] = await duck.use((one) =>
        one.rows(`select count(*) as n from read_parquet(${path}) where "subject" = ?`, [token]),
      );
      left += Number(found!['n']);
    }
    const openSegments = endpoints
      .flatMap((endpoint) => listSegments(dataDir, call.project.name, endpoint))
      .filter((segment) => segment.open).length;
    const ids = [...new Set([...idsByEndpoint.values()].flat())];
    return database.transaction(async (tx): Promise<ErasureProof> => {
      const feedback = await deleteFeedbackOf(tx, call.project.id, ids, subject);
      const reservoirRows = await eraseFromReservoirs(tx, call.project.id, token);
      const proof = { subject: token, rows, feedback, reservoirRows, files: changed, openSegments, left };
      await appendAudit(
        tx,
        {
          project: call.project.name,
          actor: call.principal.actor,
          action: 'predictions.erase',
          resource: `erasure/${id}`,
          detail: proof,
          reason,
          requestId: call.requestId,
        },
        clock,
      );
      return proof;
    });
  }
}
