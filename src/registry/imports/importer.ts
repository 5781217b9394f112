/**
 * What an importer is: it knows one format. It tells whether an artifact is of it, what that is and would run, and reads its signature. Nothing of the
 * artifact is ever run here, imported or unpickled. One file per format; the list is importers.ts.
 */
import type { Runtime } from '../runtime.ts';
import type { Signature } from '../signature.ts';
import type { PlainBody, StoredFile } from '../validation.ts';
import type { SlipwayFile } from './slipway-file.ts';

export type Artifact = {
  readonly files: readonly StoredFile[];
  readonly byPath: ReadonlyMap<string, StoredFile>;
  /** slipway.yaml; empty where there is none. */
  readonly about: SlipwayFile;
};

/** What people are told before anything is run. */
export type Description = {
  /** What it is, as a part of a sentence: `an MLflow model (scikit-learn, cloudpickle)`. */
  readonly what: string;
  /** Why running it means running its code; null when it is data. Ends the sentence `Loading one …`. */
  readonly code: string | null;
  /** How to get the same model without code. */
  readonly withoutCode?: string;
};

export type ReadModel = {
  /** The file that the engine opens, where it is another than the one that stands for the model. */
  readonly entry?: StoredFile;
  readonly signature: Signature;
  /** Null when an engine here loads it without Python. */
  readonly runtime: Runtime | null;
  /** Of the loaded model, beside its runner. */
  readonly memoryBytes: number;
  /** A request that came with the model. */
  readonly sample?: PlainBody;
  readonly warnings: readonly string[];
};

export interface Importer {
  /** The word that versions store; engines say which formats they load. */
  readonly format: string;
  /** The file that stands for the model; null when the artifact is something else. Looks at names and first bytes only. */
  detect(artifact: Artifact): StoredFile | null;
  /** @throws SlipwayError `model_invalid`, `model_unsupported` */
  describe(artifact: Artifact, entry: StoredFile): Description;
  /** @throws SlipwayError `model_invalid`, `model_unsupported` */
  read(artifact: Artifact, entry: StoredFile): ReadModel | Promise<ReadModel>;
}
