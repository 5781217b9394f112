/** The right to be forgotten: all that is kept of one subject, found, given out and erased, with proof. */
import { join } from 'node:path';
import type { Call } from '../../base/access/call.ts';
import { assertCan } from '../../base/access/permission.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { uuidv7 } from '../../base/ids.ts';
import { deleteFeedback } from '../feedback/feedback-store.ts';
import { eraseFromReservoirs } from '../profiles/profile-store.ts';
import { createTokens } from './apply-policy.ts';
import type { DamagedFiles } from './damaged-files.ts';
import { type DuckStore, quoteText } from './duck-store.ts';
import { assertLogAccess } from './log-access.ts';
import type { LogCompactor } from './log-compactor.ts';
import type { LogQuery } from './log-query.ts';
import { endpointsWithSegments, listSegments } from './log-segments.ts';
import * as store from './log-store.ts';
import { findTraces, type SubjectTraces } from './subject-traces.ts';

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

/** What was noted when an erasure began: with it it can be ended by another process. */
type Begun = {
  readonly id: string;
  readonly project: Call['project'];
  readonly token: string;
  readonly actor: string;
  readonly reason: string | null;
  readonly requestId: string | null;
  readonly feedback: number;
  readonly reservoirRows: number;
};

export type ErasureService = ReturnType<typeof createErasureService>;

export function createErasureService(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly duck: DuckStore;
  readonly query: LogQuery;
  readonly damaged: DamagedFiles;
  readonly compactor: LogCompactor;
  /** Takes over what gateways have written. */
  readonly ingest: () => Promise<unknown>;
  /** Nothing else changes the log's files meanwhile. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}) {
  const { database, clock, dataDir, duck, query, damaged, compactor, ingest, inTurn } = deps;

  const tokenOf = async (call: Call, subject: string): Promise<string> => {
    const key = await database.transaction((tx) => store.ensureKey(tx, call.project.id));
    return createTokens(key)(subject);
  };

  return {
    /** Everything that is kept of a subject. */
    async find(call: Call, subject: string) {
      assertCan(call.principal, 'admin', call.project.name);
      const token = await tokenOf(call, subject);
      const traces = await findTraces({ database, dataDir, query }, call.project, { token, text: subject });
      return { subject: token, ...byEndpoint(traces) };
    },

    /**
     * Erases a subject everywhere in the project.
     * @throws SlipwayError `in_use` while an endpoint that holds something of it is under legal hold, `data_corrupt` while a file of the log
     * cannot be read: what it holds of the subject could not be erased
     */
    async erase(call: Call, subject: string, reason: string | null): Promise<ErasureProof> {
      assertCan(call.principal, 'admin', call.project.name);
      return inTurn(() => eraseNow(call, subject, reason));
    },

    /** Ends what a process that was killed had begun. */
    async resume(): Promise<void> {
      for (const { id, project_id, project, subject, actor } of await store.listOpenErasures(database.db)) {
        const counts = { feedback: 0, reservoirRows: 0, reason: null, requestId: null };
        await end({ id, project: { id: project_id, name: project }, token: subject, actor, ...counts });
      }
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
    const { project, principal, requestId } = call;
    await ingest();
    const token = await tokenOf(call, subject);
    const traces = await findTraces({ database, dataDir, query }, project, { token, text: subject });
    const holds = await store.listHolds(database.db);
    assertNotHeld(
      holds.filter((hold) => hold.project_id === project.id),
      traces,
    );
    await readableFiles(project.id);
    if (call.dryRun) {
      const rows = traces.endpoints.reduce((sum, one) => sum + one.rowCount, 0);
      const reservoirRows = traces.reservoirs.reduce((sum, one) => sum + one.rows.length, 0);
      const counts = { rows, feedback: traces.feedback.length, reservoirRows };
      return { subject: token, ...counts, files: [], openSegments: 0, left: rows };
    }
    const atMs = clock.now().getTime();
    const id = uuidv7(atMs);
    // First the mark: from here on nothing of it is shown, and nothing that gateways still hold brings it back.
    const reservoirRows = await database.transaction(async (tx) => {
      const mark = { id, project_id: project.id, subject: token, at_ms: atMs, actor: principal.actor };
      await store.insertErasure(tx, { ...mark, proof: store.OPEN_PROOF });
      await deleteFeedback(
        tx,
        traces.feedback.map((event) => event.id),
      );
      return eraseFromReservoirs(tx, project.id, token);
    });
    const counts = { feedback: traces.feedback.length, reservoirRows };
    return end({ id, project, token, actor: principal.actor, reason, requestId, ...counts });
  }

  async function end(begun: Begun): Promise<ErasureProof> {
    const { id, project, token } = begun;
    await compactor.run(true);
    const files: { before: string; after: string | null; rows: number }[] = [];
    for (const file of await readableFiles(project.id)) {
      const rows = await countIn(file, token);
      if (rows === 0) continue;
      const [after] = await compactor.rewrite([file], '"subject" is distinct from ?', [token]);
      files.push({ before: file.digest, after: after?.digest ?? null, rows });
    }
    let left = 0;
    for (const file of await readableFiles(project.id)) left += await countIn(file, token);
    const openSegments = endpointsWithSegments(dataDir)
      .filter((one) => one.project === project.name)
      .flatMap(({ endpoint }) => listSegments(dataDir, project.name, endpoint))
      .filter((segment) => segment.open).length;
    const { feedback, reservoirRows, actor, reason, requestId } = begun;
    const rows = files.reduce((sum, file) => sum + file.rows, 0);
    const proof = { subject: token, rows, feedback, reservoirRows, files, openSegments, left };
    await database.transaction(async (tx) => {
      await store.endErasure(tx, id, JSON.stringify(proof));
      const entry = { actor, action: 'predictions.erase', resource: `erasure/${id}`, requestId };
      await appendAudit(tx, { ...entry, project: project.name, detail: proof, reason }, clock);
    });
    await database.forget();
    return proof;
  }

  /** All files of the project. @throws SlipwayError `data_corrupt` where one is damaged */
  async function readableFiles(projectId: string): Promise<store.LogFile[]> {
    const { whole, damaged: lost } = await damaged.split(await store.listFiles(database.db, { projectId }));
    if (lost.length === 0) return whole;
    throw new SlipwayError('data_corrupt', `${lost.length} of the files of the prediction log cannot be read`, {
      hint: 'What they hold of the subject cannot be erased. Put them back from a backup (the server log names them), then ask again; they go by themselves when their retention is over.',
    });
  }

  async function countIn(file: store.LogFile, token: string): Promise<number> {
    const path = quoteText(join(dataDir, file.path));
    try {
      const [found] = await duck.use((one) =>
        one.rows(`select count(*) as n from read_parquet(${path}) where "subject" = ?`, [token]),
      );
      return Number(found!['n']);
    } catch (error) {
      if (await damaged.examine([file])) await readableFiles(file.project_id);
      throw error;
    }
  }
}

function assertNotHeld(holds: readonly { endpoint: string; reason: string }[], traces: SubjectTraces): void {
  const touched = new Set([
    ...traces.endpoints.map((one) => one.endpoint),
    ...traces.feedback.map((event) => event.endpoint),
    ...traces.reservoirs.map((one) => one.endpoint),
  ]);
  const inTheWay = holds.find((hold) => touched.has(hold.endpoint));
  if (inTheWay === undefined) return;
  throw new SlipwayError('in_use', `The log of ${inTheWay.endpoint} is under legal hold: ${inTheWay.reason}`, {
    hint: 'Lift the hold first, or answer the request with the reason of the hold.',
  });
}

function byEndpoint({ endpoints, feedback, reservoirs }: SubjectTraces) {
  const names = new Set([
    ...endpoints.map((one) => one.endpoint),
    ...feedback.flatMap((event) => event.endpoint ?? []),
    ...reservoirs.map((one) => one.endpoint),
  ]);
  return {
    endpoints: [...names].sort().map((endpoint) => ({
      endpoint,
      predictions: (endpoints.find((one) => one.endpoint === endpoint)?.rows ?? []).map((row) =>
        Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)),
      ),
      feedback: feedback.filter((event) => event.endpoint === endpoint),
      samples: reservoirs
        .filter((one) => one.endpoint === endpoint)
        .flatMap(({ columns, rows }) =>
          rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]]))),
        ),
    })),
    feedback: feedback.filter((event) => event.endpoint === null),
  };
}
