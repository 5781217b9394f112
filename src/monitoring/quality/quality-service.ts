import type { Call } from '../../base/access/call.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { SlipwayError } from '../../base/errors.ts';
import { assertRevision } from '../../registry/model.ts';
import { createTokens } from '../predictions/apply-policy.ts';
import { assertLogAccess, fieldsOf } from '../predictions/log-access.ts';
import { ensureKey, findPolicy } from '../predictions/log-store.ts';
import { actionOf, DEFAULT_POLICY } from '../predictions/privacy-policy.ts';
import { listPanes, SPAN_MS } from '../profiles/profile-store.ts';
import { readWindow } from '../profiles/profile-window.ts';
import { readReference } from '../profiles/reference-store.ts';
import { checkQuality, type Finding } from './check-quality.ts';
import { NO_RULES, parseQualityRules, type QualityRules, writeQualityRules } from './quality-rules.ts';
import * as store from './quality-store.ts';
import { suggestRules } from './suggest-rules.ts';

export type ShownRules = {
  readonly endpoint: string;
  /** 0: none were set. */
  readonly revision: number;
  readonly setAt: string | null;
  readonly setBy: string | null;
  /** As people write them. */
  readonly rules: Record<string, unknown>;
};

export type QualityVerdict = {
  readonly endpoint: string;
  readonly from: string;
  readonly to: string;
  readonly rows: number;
  /** Of the rules; 0: none were set, and the suggested ones were looked at. */
  readonly revision: number;
  readonly outcome: Finding['outcome'];
  readonly findings: readonly Finding[];
};

const DAY_MS = 86_400_000;
/** How far back the usual number of rows an hour is looked for. */
const VOLUME_DAYS = 14;

export type QualityService = ReturnType<typeof createQualityService>;

export function createQualityService(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
}) {
  const { database, clock, dataDir } = deps;

  const suggest = async (call: Call, endpoint: string): Promise<QualityRules | null> => {
    const projectId = call.project.id;
    const nowMs = clock.now().getTime();
    const filter = { projectId, endpoint, slice: '' };
    const days = await listPanes(database.db, { ...filter, span: 'day', fromMs: 0, toMs: nowMs });
    const digests = [...new Set(days.reverse().map((pane) => pane.version_digest))];
    for (const versionDigest of digests) {
      const reference = await readReference(database.db, { projectId, versionDigest });
      if (reference === null) continue;
      const hours = await listPanes(database.db, {
        ...filter,
        span: 'hour',
        fromMs: nowMs - VOLUME_DAYS * DAY_MS,
        toMs: Math.floor(nowMs / SPAN_MS.hour) * SPAN_MS.hour,
      });
      const byHour = Map.groupBy(hours, (pane) => Number(pane.start_ms));
      const rows = [...byHour.values()].map((panes) => panes.reduce((sum, pane) => sum + Number(pane.rows), 0));
      return suggestRules(reference.columns, rows);
    }
    return null;
  };

  const show = (endpoint: string, row: store.RulesRow | null): ShownRules => ({
    endpoint,
    revision: row?.revision ?? 0,
    setAt: row?.set_at ?? null,
    setBy: row?.set_by ?? null,
    rules: writeQualityRules(row === null ? NO_RULES : (JSON.parse(row.rules) as QualityRules)),
  });

  return {
    /** Looks at the values of a time by the rules; where none were set by those that the reference suggests, if there is one. */
    async check(
      call: Call,
      endpoint: string,
      asked: { since?: string; until?: string; last?: number; slice?: string },
    ): Promise<QualityVerdict> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const projectId = call.project.id;
      const row = await store.findRules(database.db, projectId, endpoint);
      const rules = row === null ? await suggest(call, endpoint) : (JSON.parse(row.rules) as QualityRules);
      const nowMs = clock.now().getTime();
      const window = await readWindow(database.db, {
        projectId,
        endpoint,
        slice: asked.slice ?? '',
        nowMs,
        fromMs: asked.since === undefined ? undefined : Date.parse(asked.since),
        toMs: asked.until === undefined ? undefined : Date.parse(asked.until),
        lastRows: asked.last,
      });
      const policy = (await findPolicy(database.db, projectId, endpoint))?.policy ?? DEFAULT_POLICY;
      const key = await database.transaction((tx) => ensureKey(tx, projectId));
      const lastMs = Math.max(...[...window.columns.values()].map((profile) => profile.lastMs));
      const findings = checkQuality(rules ?? NO_RULES, {
        columns: window.columns,
        wholeRows: window.wholeRows,
        rows: window.rows,
        fromMs: window.fromMs,
        toMs: window.toMs,
        nowMs,
        lastMs: Number.isFinite(lastMs) ? lastMs : null,
        actionOf: (column) => actionOf(policy, column).action,
        tokens: createTokens(key),
      });
      const is = (outcome: Finding['outcome']): boolean => findings.some((one) => one.outcome === outcome);
      return {
        endpoint,
        from: new Date(window.fromMs).toISOString(),
        to: new Date(window.toMs).toISOString(),
        rows: window.rows,
        revision: row?.revision ?? 0,
        outcome: is('failed') ? 'failed' : is('passed') ? 'passed' : 'unknown',
        findings,
      };
    },

    async show(call: Call, endpoint: string): Promise<ShownRules> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      return show(endpoint, await store.findRules(database.db, call.project.id, endpoint));
    },

    /** Every revision, the newest first. */
    async history(call: Call, endpoint: string, page: { after: string | null; limit: number }): Promise<ShownRules[]> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const before = page.after === null ? null : Number(page.after);
      const rows = await store.listRules(database.db, call.project.id, endpoint, { before, limit: page.limit });
      return rows.map((row) => show(endpoint, row));
    },

    async suggest(call: Call, endpoint: string): Promise<ShownRules> {
      await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const rules = await suggest(call, endpoint);
      if (rules !== null) return { ...show(endpoint, null), rules: writeQualityRules(rules) };
      throw new SlipwayError('reference_not_found', `No version that answered for ${endpoint} has a reference`, {
        hint: 'Name a file of rows in slipway.yaml (`reference: reference.csv`) and deploy, or take the first predictions: `slipway references first`.',
      });
    },

    async set(call: Call, endpoint: string, document: unknown): Promise<ShownRules> {
      return database.transaction(async (tx) => {
        const spec = await assertLogAccess(tx, call, 'deploy', endpoint, { dataDir });
        const before = await store.findRules(tx, call.project.id, endpoint);
        assertRevision(`the rules of ${endpoint}`, before?.revision ?? 0, call.ifMatch);
        const fields = await fieldsOf(tx, spec);
        const rules = parseQualityRules(document, fields?.map((field) => field.name) ?? null);
        const row: store.RulesRow = {
          project_id: call.project.id,
          endpoint,
          revision: (before?.revision ?? 0) + 1,
          rules: JSON.stringify(rules),
          set_at: clock.now().toISOString(),
          set_by: call.principal.actor,
        };
        if (call.dryRun) return { ...show(endpoint, row), revision: before?.revision ?? 0 };
        await store.insertRules(tx, row);
        const entry = {
          actor: row.set_by,
          action: 'quality.set',
          resource: `quality/${endpoint}`,
          requestId: call.requestId,
        };
        const detail = { from: before === null ? null : JSON.parse(before.rules), to: rules };
        await appendAudit(tx, { ...entry, project: call.project.name, detail }, clock);
        return show(endpoint, row);
      });
    },
  };
}
