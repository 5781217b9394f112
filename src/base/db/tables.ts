import type { MonitoringTables } from './monitoring-tables.ts';
import type { RolloutTables } from './rollout-tables.ts';

/**
 * The tables, as Kysely sees them. The same on every dialect: text for ids and times (RFC 3339, UTC, milliseconds), text for JSON
 * documents, integers for counts. Every table of things that belong to someone carries `project_id`.
 */
export type Tables = {
  meta: { key: string; value: string };
  projects: { id: string; name: string; created_at: string };
  api_keys: {
    id: string;
    project_id: string | null;
    name: string;
    secret_sha256: string;
    /** JSON array of scopes. */
    scopes: string;
    created_at: string;
    created_by: string;
    expires_at: string | null;
    revoked_at: string | null;
    last_used_at: string | null;
    /** The key this one replaces, which stays valid until it is revoked. */
    rotated_from: string | null;
    /** JSON of `KeyLimits`; null: no limits. */
    limits: string | null;
    /** What requests are signed with; null: the key signs none. */
    signing_secret: string | null;
  };
  sessions: {
    secret_sha256: string;
    key_id: string;
    created_at: string;
    used_at: string;
  };
  audit: {
    seq: number;
    at: string;
    project: string | null;
    actor: string;
    action: string;
    resource: string;
    /** JSON: what changed, from and to. */
    detail: string;
    reason: string | null;
    request_id: string | null;
    previous_hash: string;
    hash: string;
  };
  models: {
    id: string;
    project_id: string;
    name: string;
    description: string | null;
    card: string | null;
    tags: string;
    revision: number;
    next_version: number;
    created_at: string;
    created_by: string;
  };
  versions: {
    id: string;
    project_id: string;
    model_id: string;
    number: number;
    /** `sha256:…` of the manifest. */
    digest: string;
    manifest: string;
    format: string;
    engine: string;
    entry: string;
    signature: string;
    /** JSON of `Runtime`; null: it is data. */
    runtime: string | null;
    environment: string | null;
    sample_request: string;
    can_batch: number;
    can_pad: number;
    limits: string;
    status: string;
    status_reason: string | null;
    validation: string | null;
    estimated_memory_bytes: number;
    measured_memory_bytes: number | null;
    lineage: string;
    tags: string;
    card: string | null;
    idempotency_key: string | null;
    /** Of the request that the key stands for, so that the key of one is not taken for another. */
    request_sha256: string | null;
    revision: number;
    created_at: string;
    created_by: string;
  };
  /** Versions that are being made of others, and what became of it. */
  conversions: {
    id: string;
    project_id: string;
    model_id: string;
    from_version: number;
    /** JSON of `ConversionSpec`. */
    spec: string;
    status: string;
    reason: string | null;
    hint: string | null;
    /** JSON of `ConversionReport`. */
    report: string | null;
    to_version: number | null;
    attempts: number;
    created_at: string;
    created_by: string;
    finished_at: string | null;
  };
  version_files: { project_id: string; version_id: string; path: string; digest: string; size_bytes: number };
  aliases: {
    project_id: string;
    model_id: string;
    name: string;
    version: number;
    revision: number;
    updated_at: string;
  };
  alias_history: {
    id: string;
    project_id: string;
    model_id: string;
    name: string;
    from_version: number | null;
    to_version: number | null;
    actor: string;
    reason: string | null;
    at: string;
  };
  blobs: { project_id: string; digest: string; size_bytes: number; created_at: string; touched_at: string };
  uploads: {
    id: string;
    project_id: string;
    digest: string;
    size_bytes: number;
    created_at: string;
    expires_at: string;
  };
  endpoints: {
    id: string;
    project_id: string;
    name: string;
    environment: string;
    model_id: string;
    /** JSON: { version } or { alias }. */
    target: string;
    /** JSON array of version numbers. */
    pins: string;
    /** 1 or 0: whether its versions are kept running. */
    loaded: number;
    /** JSON of `EndpointTraffic`; null: never shared out. */
    traffic: string | null;
    revision: number;
    created_at: string;
    created_by: string;
    updated_at: string;
  };
} & MonitoringTables &
  RolloutTables;
