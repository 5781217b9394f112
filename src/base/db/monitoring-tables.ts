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
};
