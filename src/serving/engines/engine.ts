/**
 * What an engine is: something that can run an artifact. One file per engine in this folder; every engine passes
 * `engine-conformance.ts`. An engine runs inside a runner process and knows nothing of HTTP, queues or endpoints.
 */
import type { Signature } from '../../registry/signature.ts';
import type { Tensor } from '../tensors/tensor.ts';
import type { EngineName, TABULAR_CHECK } from './engine-facts.ts';

export type LoadOptions = {
  /** Absolute path of the artifact's entry file. Its folder holds the artifact's other files and nothing else. */
  readonly entryPath: string;
  /** The bytes of the entry file, already checked against the manifest's digest. */
  readonly entryBytes: Uint8Array;
  /** The names, types and shapes promised to callers; outputs are returned in this order. */
  readonly signature: Signature;
  /** Threads one run may use; >= 1. */
  readonly threads: number;
};

export interface LoadedModel {
  /** What was found out while it was loaded, for people: a part of a sentence. */
  readonly about?: string;
  /**
   * Computes one batch. `inputs` are those of the signature by name; an optional one may be absent. Gives the outputs in
   * the signature's order. Throws an Error whose message is safe to show when the model cannot compute these inputs.
   */
  run(inputs: readonly Tensor[]): Promise<Tensor[]>;
  /** Frees what the model holds. The model is not used afterwards. */
  close(): Promise<void>;
}

export interface Engine {
  /** The word that versions store and callers pass to `--engine`; its formats stand beside it in engine-facts.ts. */
  readonly name: EngineName | typeof TABULAR_CHECK;
  load(options: LoadOptions): Promise<LoadedModel>;
}
