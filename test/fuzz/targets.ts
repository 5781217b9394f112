import { cloudBodies } from './cloud-targets.ts';
import { frames } from './frames-target.ts';
import { grpcConnection, grpcRequest } from './grpc-targets.ts';
import { lexicon } from './json-target.ts';
import { leanHead } from './lean-head-target.ts';
import { binaryTensors, openInferenceJson, plainBodies } from './protocol-targets.ts';
import { tensorflowGrpc, tensorflowJson, torchserveBodies } from './serving-targets.ts';
import type { FuzzTarget } from './target.ts';

/** One for every parser that reads bytes of strangers. */
export const TARGETS: readonly FuzzTarget[] = [
  lexicon,
  openInferenceJson,
  binaryTensors,
  plainBodies,
  frames,
  leanHead,
  grpcRequest,
  grpcConnection,
  tensorflowJson,
  torchserveBodies,
  tensorflowGrpc,
  cloudBodies,
];
