/** Tables of the rollouts room, as Kysely sees them; the forms of `tables.ts`. */
export type RolloutTables = {
  rollouts: {
    id: string;
    project_id: string;
    endpoint_id: string;
    /** Name of the endpoint, which the endpoint may not survive. */
    endpoint: string;
    /** Kind of the phase, for lists. */
    phase: string;
    /** 1 until it has ended and nothing of it is left to do. Of an endpoint at most one is. */
    active: number;
    /** JSON of `Rollout`. */
    state: string;
    revision: number;
    started_at: string;
    ended_at: string | null;
  };
  /** What is to be done, recorded in the transaction that decided it. */
  rollout_effects: {
    rollout_id: string;
    revision: number;
    place: number;
    /** JSON of `Effect`. */
    effect: string;
    applied_at: string | null;
  };
  /** Append-only. */
  rollout_records: {
    rollout_id: string;
    place: number;
    /** JSON of `TransitionRecord`. */
    record: string;
    at: string;
  };
  /** What people asked for and no step has taken yet. */
  rollout_commands: { id: string; rollout_id: string; command: string; at: string };
  /** The last report of each gateway about each stage. */
  rollout_evidence: {
    rollout_id: string;
    epoch: number;
    stage: number;
    instance: string;
    sequence: number;
    /** JSON of `StageEvidence`. */
    evidence: string;
    at: string;
  };
  /** What was live when: a row for each change of what answers an endpoint. Append-only. */
  traffic_history: {
    id: string;
    project_id: string;
    endpoint: string;
    at: string;
    actor: string;
    reason: string | null;
    request_id: string | null;
    /** JSON of `LiveTraffic`; null from when the endpoint was deleted or lost its version. */
    live: string | null;
  };
};
