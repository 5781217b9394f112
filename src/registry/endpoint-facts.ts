import type { Db, Tx } from '../base/db/database.ts';
import type { Signature } from './signature.ts';

/**
 * What the registry needs to know of endpoints, which belong to a later room: a composition root passes these in. All are asked inside
 * the transaction whose change depends on them.
 */
export type EndpointFacts = {
  /** Names of the endpoints that serve this version or keep it loaded. */
  serving(db: Db, modelId: string, version: number): Promise<string[]>;
  /** Names of all endpoints of the model. */
  ofModel(db: Db, modelId: string): Promise<string[]>;
  /** Names of the endpoints that follow this alias. */
  following(db: Db, modelId: string, alias: string): Promise<string[]>;
  /** What callers of an endpoint rely on now; null when there is no such endpoint. */
  signature(
    db: Db,
    projectId: string,
    endpoint: string,
  ): Promise<{ readonly model: string; readonly version: number | null; readonly signature: Signature | null } | null>;
  /** Throws when an endpoint that follows the alias could not serve the version, or would break its callers. */
  assertAliasMovable(
    db: Db,
    move: { modelId: string; alias: string; version: number; allowBreaking: boolean },
  ): Promise<void>;
  /** Told after an alias was moved: what its followers serve has changed with it. */
  noteAliasMove(
    tx: Tx,
    move: {
      readonly projectId: string;
      readonly modelId: string;
      readonly alias: string;
      readonly actor: string;
      readonly reason: string | null;
      readonly requestId: string;
      readonly at: string;
    },
  ): Promise<void>;
};
