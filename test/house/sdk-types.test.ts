/**
 * The SDK's types are written by hand, for readers; the server's schemas are what it validates and documents. Here the compiler holds
 * the two equal: a field added on one side only fails `npm run types`, and this file with it.
 */

import type { Static } from 'typebox';
import { Value } from 'typebox/value';
import { expect, test } from 'vitest';
import type * as converted from '../../sdk/src/conversion-types.ts';
import { DATATYPES } from '../../sdk/src/datatypes.ts';
import type * as live from '../../sdk/src/live-types.ts';
import type * as remembered from '../../sdk/src/monitoring-types.ts';
import type * as moved from '../../sdk/src/rollout-types.ts';
import type * as sdk from '../../sdk/src/types.ts';
import type { ApiKeySchema, NewApiKeySchema, ProjectSchema } from '../../src/base/access/access-routes.ts';
import type { SessionSchema } from '../../src/base/access/session-routes.ts';
import type { AuditRecordSchema, AuditVerdictSchema } from '../../src/base/audit-routes.ts';
import { ProblemSchema } from '../../src/base/http/problem.ts';
import type {
  FeedbackEventSchema,
  FeedbackItemSchema,
  FeedbackReceiptSchema,
} from '../../src/monitoring/feedback/feedback-routes.ts';
import type { ImportReceiptSchema } from '../../src/monitoring/imports/import-routes.ts';
import type {
  ErasureProofSchema,
  FieldActionSchema,
  LoggedPredictionSchema,
  ShownPolicySchema,
  ShownPredictionSchema,
  SubjectRecordsSchema,
} from '../../src/monitoring/predictions/log-routes.ts';
import type {
  ShownProfileSchema,
  ShownProfilesSchema,
  ShownReferenceSchema,
} from '../../src/monitoring/profiles/profile-routes.ts';
import type { QualityVerdictSchema, ShownRulesSchema } from '../../src/monitoring/quality/quality-routes.ts';
import type { AliasChangeSchema, AliasSchema } from '../../src/registry/alias-routes.ts';
import type { UploadSchema } from '../../src/registry/artifacts/upload-routes.ts';
import type { ModelSchema } from '../../src/registry/model-routes.ts';
import { DATATYPES as OWN_DATATYPES } from '../../src/registry/signature.ts';
import type {
  ConversionReportSchema,
  SignatureDiffSchema,
  SignatureSchema,
  VersionSchema,
} from '../../src/registry/version-schema.ts';
import type { LiveChangeSchema, RolloutSchema } from '../../src/rollouts/rollout-routes.ts';
import type { ConversionSchema } from '../../src/serving/conversion/conversion-routes.ts';
import type { EndpointSchema, TargetSchema, WhySchema } from '../../src/serving/endpoints/endpoint-routes.ts';
import type { TriedSchema } from '../../src/serving/endpoints/try-routes.ts';
import type { CheckSchema, ServerStatusSchema, SettingSchema } from '../../src/serving/status/status-routes.ts';
import type { EndpointTrafficSchema, TrafficSeriesSchema } from '../../src/serving/status/traffic-routes.ts';

/** Resolves to true only when either can stand where the other is wanted, and both have the same keys. */
type Same<A, B> = [A] extends [B]
  ? [B] extends [A]
    ? [keyof A] extends [keyof B]
      ? [keyof B] extends [keyof A]
        ? true
        : 'keys'
      : 'keys'
    : 'wider'
  : 'narrower';
const same = <A, B>(_verdict: Same<A, B>): void => {};

test('the types of the SDK are those of the schemas', () => {
  same<sdk.Project, Static<typeof ProjectSchema>>(true);
  same<sdk.ApiKey, Static<typeof ApiKeySchema>>(true);
  same<sdk.NewApiKey, Static<typeof NewApiKeySchema>>(true);
  same<sdk.AuditRecord, Static<typeof AuditRecordSchema>>(true);
  same<sdk.AuditVerdict, Static<typeof AuditVerdictSchema>>(true);
  same<sdk.Problem, Static<typeof ProblemSchema>>(true);
  same<sdk.Model, Static<typeof ModelSchema>>(true);
  same<sdk.Signature, Static<typeof SignatureSchema>>(true);
  same<sdk.SignatureDiff, Static<typeof SignatureDiffSchema>>(true);
  same<sdk.Version, Static<typeof VersionSchema>>(true);
  same<sdk.Alias, Static<typeof AliasSchema>>(true);
  same<sdk.AliasChange, Static<typeof AliasChangeSchema>>(true);
  same<sdk.Upload, Static<typeof UploadSchema>>(true);
  same<sdk.Target, Static<typeof TargetSchema>>(true);
  same<sdk.Endpoint, Static<typeof EndpointSchema>>(true);
  same<sdk.Why, Static<typeof WhySchema>>(true);
  same<sdk.ServerStatus, Static<typeof ServerStatusSchema>>(true);
  same<remembered.FeedbackItem, Static<typeof FeedbackItemSchema>>(true);
  same<remembered.FeedbackReceipt, Static<typeof FeedbackReceiptSchema>>(true);
  same<remembered.FeedbackEvent, Static<typeof FeedbackEventSchema>>(true);
  same<remembered.LoggedPrediction, Static<typeof LoggedPredictionSchema>>(true);
  same<remembered.ShownPrediction, Static<typeof ShownPredictionSchema>>(true);
  same<remembered.FieldAction, Static<typeof FieldActionSchema>>(true);
  same<remembered.ShownPolicy, Static<typeof ShownPolicySchema>>(true);
  same<remembered.ColumnProfile, Static<typeof ShownProfileSchema>>(true);
  same<remembered.Profile, Static<typeof ShownProfilesSchema>>(true);
  same<remembered.ShownQualityRules, Static<typeof ShownRulesSchema>>(true);
  same<remembered.QualityVerdict, Static<typeof QualityVerdictSchema>>(true);
  same<remembered.ImportReceipt, Static<typeof ImportReceiptSchema>>(true);
  same<remembered.Reference, Static<typeof ShownReferenceSchema>>(true);
  same<remembered.SubjectRecords, Static<typeof SubjectRecordsSchema>>(true);
  same<remembered.ErasureProof, Static<typeof ErasureProofSchema>>(true);
  same<converted.ConversionReport, Static<typeof ConversionReportSchema>>(true);
  same<converted.Conversion, Static<typeof ConversionSchema>>(true);
  same<moved.Rollout, Static<typeof RolloutSchema>>(true);
  same<moved.LiveChange, Static<typeof LiveChangeSchema>>(true);
  same<live.Session, Static<typeof SessionSchema>>(true);
  same<live.EndpointTraffic, Static<typeof EndpointTrafficSchema>>(true);
  same<live.TrafficSeries, Static<typeof TrafficSeriesSchema>>(true);
  same<live.Tried, Static<typeof TriedSchema>>(true);
  same<live.ShownSetting, Static<typeof SettingSchema>>(true);
  same<sdk.Check, Static<typeof CheckSchema>>(true);
  expect(DATATYPES).toEqual(OWN_DATATYPES);
  // The schemas are real: one of them refuses what the type refuses.
  expect(Value.Check(ProblemSchema, { type: 'x' })).toBe(false);
});
