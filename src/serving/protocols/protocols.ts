import { azureMl } from './azure-ml.ts';
import { kserveV1 } from './kserve-v1.ts';
import { mlflow } from './mlflow.ts';
import { openInference } from './open-inference.ts';
import { openai } from './openai.ts';
import { plain } from './plain.ts';
import type { InferRoute, Protocol } from './protocol.ts';
import { sagemaker } from './sagemaker.ts';
import { seldon } from './seldon.ts';
import { tensorflowServing } from './tensorflow-serving.ts';
import { torchserve } from './torchserve.ts';
import { torchserveManagement } from './torchserve-management.ts';
import { vertex } from './vertex.ts';

/**
 * What the gateway speaks, unless SLIPWAY_PROTOCOLS says otherwise. A new protocol is one line here. Of two that claim a path the first has it; docs/reference/protocols.md
 * lists them.
 */
export const PROTOCOLS: readonly Protocol[] = [
  openInference,
  plain,
  tensorflowServing,
  kserveV1,
  torchserve,
  torchserveManagement,
  mlflow,
  sagemaker,
  vertex,
  azureMl,
  seldon,
  openai,
];

/** In whose form errors are told where a path belongs to no protocol. */
export const FALLBACK: Protocol = plain;

export function protocolNamed(name: string): Protocol {
  const protocol = PROTOCOLS.find((one) => one.name === name);
  if (protocol === undefined) throw new Error(`no protocol ${name}`);
  return protocol;
}

/** The prediction route of a protocol, for threads. @param path as in the route */
export function inferRouteOf(protocol: string, path: string): InferRoute {
  const route = protocolNamed(protocol).routes.find(
    (one): one is InferRoute => one.kind === 'infer' && one.path === path,
  );
  if (route === undefined) throw new Error(`no prediction route ${path} of ${protocol}`);
  return route;
}
