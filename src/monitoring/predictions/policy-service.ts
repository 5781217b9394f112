import type { Call } from '../../base/access/call.ts';
import { appendAudit } from '../../base/audit.ts';
import type { Clock } from '../../base/clock.ts';
import type { Database } from '../../base/db/database.ts';
import { assertRevision } from '../../registry/model.ts';
import { createFeedbackGuard, type FeedbackGuard } from '../feedback/feedback-guard.ts';
import { createTokens } from './apply-policy.ts';
import { assertLogAccess, fieldsOf } from './log-access.ts';
import * as store from './log-store.ts';
import { DEFAULT_POLICY, type FieldPlan, type PrivacyPolicy, parsePolicy, planFields } from './privacy-policy.ts';
import type { RecordingPublisher } from './recording-publisher.ts';

export type ShownPolicy = {
  readonly endpoint: string;
  readonly policy: PrivacyPolicy;
  /** 0: none was set, the default holds. */
  readonly revision: number;
  readonly updatedAt: string | null;
  readonly updatedBy: string | null;
  /** What it means for each field of the version that is served now. */
  readonly fields: readonly FieldPlan[];
};

export type PolicyService = ReturnType<typeof createPolicyService>;

export function createPolicyService(deps: {
  readonly database: Database;
  readonly clock: Clock;
  readonly dataDir: string;
  readonly publisher: RecordingPublisher;
}) {
  const { database, clock, dataDir, publisher } = deps;
  return {
    async show(call: Call, endpoint: string): Promise<ShownPolicy> {
      const spec = await assertLogAccess(database.db, call, 'read', endpoint, { dataDir });
      const found = await store.findPolicy(database.db, call.project.id, endpoint);
      const fields = (await fieldsOf(database.db, spec)) ?? [];
      const policy = found?.policy ?? DEFAULT_POLICY;
      return {
        endpoint,
        policy,
        revision: found?.revision ?? 0,
        updatedAt: found?.updatedAt ?? null,
        updatedBy: found?.updatedBy ?? null,
        fields: planFields(policy, fields),
      };
    },

    /** What may be kept of feedback about an endpoint; null: about any of the project. */
    async guardOf(project: Call['project'], endpoint: string | null): Promise<FeedbackGuard> {
      const policies = (await store.readPolicies(database.db))
        .filter((one) => one.projectId === project.id && (endpoint === null || one.endpoint === endpoint))
        .map((one) => one.policy);
      const key = policies.length === 0 ? '' : await database.transaction((tx) => store.ensureKey(tx, project.id));
      return createFeedbackGuard(policies, createTokens(key));
    },

    /** Gateways hold to it within a second after it is answered. What was logged before stays as it is, until its time is up or it is erased. */
    async set(
      call: Call,
      endpoint: string,
      document: unknown,
      options: { readonly elsewhere?: boolean } = {},
    ): Promise<ShownPolicy> {
      const shown = await database.transaction(async (tx): Promise<ShownPolicy> => {
        const mayBeNew = options.elsewhere === true;
        const spec = await assertLogAccess(tx, call, 'deploy', endpoint, { dataDir, mayBeNew });
        const before = await store.findPolicy(tx, call.project.id, endpoint);
        assertRevision(`the policy of ${endpoint}`, before?.revision ?? 0, call.ifMatch);
        const fields = await fieldsOf(tx, spec);
        const policy = parsePolicy(document, fields);
        const updatedAt = clock.now().toISOString();
        const revision = (before?.revision ?? 0) + 1;
        const updatedBy = call.principal.actor;
        const planned = { endpoint, policy, revision, updatedAt, updatedBy, fields: planFields(policy, fields ?? []) };
        if (call.dryRun) return { ...planned, revision: before?.revision ?? 0 };
        await store.putPolicy(tx, {
          project_id: call.project.id,
          endpoint,
          policy: JSON.stringify(policy),
          revision,
          updated_at: updatedAt,
          updated_by: updatedBy,
        });
        const entry = {
          actor: updatedBy,
          action: 'policy.set',
          resource: `policy/${endpoint}`,
          requestId: call.requestId,
        };
        const detail = { from: before?.policy ?? null, to: policy };
        await appendAudit(tx, { ...entry, project: call.project.name, detail }, clock);
        return planned;
      });
      if (!call.dryRun) await publisher.publish();
      return shown;
    },
  };
}
