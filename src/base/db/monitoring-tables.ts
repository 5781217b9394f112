/** Tables of the monitoring room, as Kysely sees them; the forms of `tables.ts`. */
export type MonitoringTables = {
  feedback: {
    /** Grows by one with every record, in the order they were committed: what readers resume from. */
    seq: number;
    id: string;
    project_id: string;
    /** Name of the endpoint that the sender named; null when only the prediction was. */
    endpoint: string | null;
    /** What it is about as one text: the prediction and row, or the endpoint and join key. */
    subject: string;
    prediction_id: string | null;
    /** Row of the prediction; null when the sender named none. */
    prediction_row: number | null;
    join_key: string | null;
    kind: string;
    /** JSON. */
    value: string;
    revision: number;
    source: string;
    weight: number;
    /** When it became true or was said, as the sender knows it. */
    occurred_at: string | null;
    arrived_at: string;
    actor: string;
    /** When its prediction was found; null while it is parked. */
    matched_at: string | null;
    /** Time of the prediction; null while it is not known. */
    predicted_at: string | null;
    /** When it is given up if no prediction is found; null once one is. */
    expires_at: string | null;
  };
  prediction_keys: { project_id: string; key: string };
  prediction_policies: {
    project_id: string;
    endpoint: string;
    /** JSON of `PrivacyPolicy`. */
    policy: string;
    revision: number;
    updated_at: string;
    updated_by: string;
  };
  /** Parquet files of the prediction log. */
  prediction_files: {
    id: string;
    project_id: string;
    endpoint: string;
    /** Relative to the data folder. */
    path: string;
    from_ms: number;
    to_ms: number;
    rows: number;
    bad_lines: number;
    size_bytes: number;
    digest: string;
    /** JSON: kinds of its columns by name. */
    columns: string;
    created_at: string;
  };
  /** Files of gateways that were taken, so that none is taken twice. */
  prediction_sources: { name: string; taken_at: string };
  prediction_erasures: {
    id: string;
    project_id: string;
    /** Keyed hash of the subject. */
    subject: string;
    at_ms: number;
    actor: string;
    /** JSON: what was erased, with digests before and after. */
    proof: string;
  };
  prediction_holds: { project_id: string; endpoint: string; reason: string; set_at: string; set_by: string };
  profile_panes: {
    project_id: string;
    endpoint: string;
    version_digest: string;
    slice: string;
    span: string;
    start_ms: number;
    model: string;
    version: number;
    predictions: number;
    failed: number;
    rows: number;
    profiled: number;
    unrecorded: number;
    /** JSON of a few rows; null where payloads are not logged. */
    reservoir: string | null;
  };
  profile_columns: {
    project_id: string;
    endpoint: string;
    version_digest: string;
    slice: string;
    span: string;
    start_ms: number;
    column_name: string;
    profile: Uint8Array;
  };
  reference_profiles: {
    project_id: string;
    model: string;
    version_digest: string;
    column_name: string;
    profile: Uint8Array;
    revision: number;
    origin: string;
    made_at: string;
  };
  references_asked: {
    project_id: string;
    endpoint: string;
    version_digest: string;
    model: string;
    first_rows: number;
    asked_at: string;
    asked_by: string;
  };
  quality_rules: {
    project_id: string;
    endpoint: string;
    revision: number;
    /** JSON of `QualityRules`. */
    rules: string;
    set_at: string;
    set_by: string;
  };
};
