import type { ProcessTree } from '../process-tree.ts';

/** A server that runs with one model, ready to be loaded. */
export type Served = {
  readonly name: string;
  /** A mark is no server: it checks, limits and reports nothing. */
  readonly kind: 'slipway' | 'rival' | 'mark';
  readonly note: string;
  readonly tree: ProcessTree;
  /** From launch to the first 200 on a prediction. */
  readonly startMs: number;
  readonly url: string;
  /** Its form of JSON body, by the kit's names. */
  readonly jsonForm: string;
  readonly takesBinary: boolean;
  readonly grpc: { readonly address: string; readonly form: string } | null;
  stop(): Promise<void>;
};
